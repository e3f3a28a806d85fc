-- migration_cancel: cancels the current statement of a session.
--
-- Parameters: $1 the session's pid.
SELECT pg_cancel_backend($1::integer)
