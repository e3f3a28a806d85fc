-- migration_builder: the session that creates or drops an index concurrently in our schema. Needed for a migration through
-- a pooler, which cannot know its own session. Only one migration runs at a time.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the comment at the start of each such statement of a migration.
-- Zero rows:  no session does this.
SELECT a.pid
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active' AND a.usename = current_user
  AND starts_with(a.query, $1)
ORDER BY a.query_start DESC
LIMIT 1
