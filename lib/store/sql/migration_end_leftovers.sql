-- migration_end_leftovers: ends the statements that a killed migration left at the server, and counts them.
--
-- Guard:      the caller has the lock of migrations, so none of them belongs to a living one.
-- Parameters: $1 the comment that each such statement of a migration begins with.
SELECT count(*) FILTER (WHERE pg_cancel_backend(a.pid))
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active' AND a.usename = current_user
  AND starts_with(a.query, $1)
