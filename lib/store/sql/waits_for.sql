-- waits_for: the lock that a session waits for, and the session at the root of the wait: this session blocks the others and
-- waits for no lock itself.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the pid of the waiting session.
-- Zero rows:  the session does not wait for a lock, or every session that it waits for waits itself at this moment.
-- Rights:     for sessions of other roles, PostgreSQL shows application and time only to some roles.
WITH RECURSIVE blocker(pid) AS (
    SELECT unnest(pg_blocking_pids($1::integer))
    UNION
    -- A session that waits in the same queue blocks this one too. So the session that it waits for must end.
    SELECT n.pid FROM blocker b CROSS JOIN LATERAL unnest(pg_blocking_pids(b.pid)) AS n(pid)
)
SELECT CASE l.locktype WHEN 'relation' THEN (SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
                                        WHERE c.oid = l.relation) ELSE l.locktype END AS lock, a.pid, coalesce(nullif(a.application_name, ''), '?') AS application,
       coalesce(a.state, '?') AS state, coalesce(round(extract(epoch FROM clock_timestamp() - a.xact_start)), 0)::bigint AS open_s
FROM pg_locks l
CROSS JOIN blocker b
JOIN pg_stat_activity a ON a.pid = b.pid
WHERE l.pid = $1::integer AND NOT l.granted AND a.pid <> $1::integer
  AND NOT EXISTS (SELECT FROM pg_locks w WHERE w.pid = b.pid AND NOT w.granted)
ORDER BY a.xact_start NULLS LAST
LIMIT 1
