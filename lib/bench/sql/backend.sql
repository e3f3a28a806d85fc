-- backend: the process id of the backend of this connection.
--
-- Guard:      none, it only reads.
SELECT pg_backend_pid()
