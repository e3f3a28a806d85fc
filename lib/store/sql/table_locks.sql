-- table_locks: the sessions that hold a lock on a whole table of the schema that blocks all writers, or wait for a lock that
-- would block all readers. While such a session waits for one reader, all other sessions wait behind it.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  no such lock is held now.
-- State:      for a session that waits, the answer names the session that it waits for, which is the cause.
-- Rights:     for sessions of other roles, PostgreSQL shows application and time only to some roles.
-- Index:      none.
SELECT format('%I.%I', n.nspname, c.relname) AS lock, a.pid, coalesce(nullif(a.application_name, ''), '?') AS application,
       CASE WHEN l.granted THEN coalesce(a.state, '?')
            ELSE 'waits for pid ' || array_to_string(pg_blocking_pids(a.pid), ', ') END AS state,
       coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::bigint AS open_s
FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND (l.mode = 'AccessExclusiveLock' OR l.granted AND l.mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock'))
  AND n.nspname = 'leasehold' AND c.relkind IN ('r', 'p')
  AND l.database = (SELECT d.oid FROM pg_database d WHERE d.datname = current_database())
ORDER BY a.xact_start NULLS LAST, c.relname
LIMIT 3
