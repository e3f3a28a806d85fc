-- migration_end_leftovers: ends the statements that a killed migration left at the server, and counts them.
--
-- Guard:      the caller holds the lock of migrations, so none of these statements belongs to a live migration.
-- Parameters: $1 the comment at the start of each such statement of a migration.
SELECT count(*) FILTER (WHERE pg_cancel_backend(a.pid))
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active' AND a.usename = current_user
  AND starts_with(a.query, $1)
