-- migration_cancel: ends the statement that a session is at.
--
-- Parameters: $1 its pid.
SELECT pg_cancel_backend($1::integer)
