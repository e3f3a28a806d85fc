-- pid: which session this is.
--
-- Guard:      none, it only reads.
SELECT pg_backend_pid()
