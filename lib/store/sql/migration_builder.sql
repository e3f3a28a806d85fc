-- migration_builder: which session makes or drops an index concurrently in our schema, for a migration through a pooler, which
-- cannot know its session. Only one migration is under way at a time.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the comment that each such statement of a migration begins with.
-- Zero rows:  none does.
SELECT a.pid
FROM pg_stat_activity a
WHERE a.datname = current_database() AND a.pid <> pg_backend_pid() AND a.state = 'active' AND a.usename = current_user
  AND starts_with(a.query, $1)
ORDER BY a.query_start DESC
LIMIT 1
