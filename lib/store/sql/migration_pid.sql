-- migration_pid: which session does the work.
SELECT pg_backend_pid()
