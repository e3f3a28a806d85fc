-- waits_for: the lock that a session waits for, and the session that holds the lock.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the pid of the waiting session.
-- Zero rows:  the session does not wait for a lock.
-- Rights:     for sessions of other roles, PostgreSQL shows application and time only to some roles.
SELECT CASE l.locktype WHEN 'relation' THEN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                        WHERE c.oid = l.relation) ELSE l.locktype END AS lock, a.pid, coalesce(nullif(a.application_name, ''), '?') AS application,
       coalesce(a.state, '?') AS state, coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::bigint AS open_s
FROM pg_locks l
CROSS JOIN LATERAL unnest(pg_blocking_pids(l.pid)) AS b(pid)
JOIN pg_stat_activity a ON a.pid = b.pid
WHERE l.pid = $1::integer AND NOT l.granted
ORDER BY a.xact_start NULLS LAST
LIMIT 1
