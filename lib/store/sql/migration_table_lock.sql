-- migration_table_lock: which session holds a lock on the table of migrations that shuts out readers.
--
-- Guard:      none, it only reads.
-- Zero rows:  no session does.
SELECT 'leasehold.migration' AS lock, a.pid, coalesce(nullif(a.application_name, ''), '?') AS application,
       coalesce(a.state, '?') AS state, coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::bigint AS open_s
FROM pg_locks l
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.relation = to_regclass('leasehold.migration') AND l.granted AND l.mode = 'AccessExclusiveLock' AND l.pid <> pg_backend_pid()
LIMIT 1
