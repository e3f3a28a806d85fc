-- backend: the process that serves this connection.
--
-- Guard:      none, it only reads.
SELECT pg_backend_pid()
