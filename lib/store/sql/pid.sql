-- pid: the process id of this session.
--
-- Guard:      none, it only reads.
SELECT pg_backend_pid()
