-- limit_change_waits: a change of a limit takes effect with the next claim of a job with this key, or within a few ticks of a
-- reaper. Both wait for claims under way. Each of these claims is a short transaction.
-- Index: limit_change_pkey. The number is the result of leasehold.key_lock(NULL), the lock of all limits; a reader may not call
-- that function.
SELECT NULL::uuid AS id,
       format('a change of limit key %L waits since %s; %s', c.key, c.asked_at, coalesce(
           (SELECT format('the session with pid %s has the lock of all limits, in a transaction that is open since %s', a.pid, a.xact_start)
            FROM pg_locks l
            JOIN pg_database d ON d.oid = l.database AND d.datname = current_database()
            JOIN pg_stat_activity a ON a.pid = l.pid
            WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
              AND ((l.classid::bigint << 32) | l.objid::bigint) = hashtextextended('leasehold.limits', 0)
            ORDER BY a.xact_start LIMIT 1),
           'no reaper has put it into force')) AS detail
FROM leasehold.limit_change c
WHERE c.asked_at < now() - interval '10 seconds'
ORDER BY c.key LIMIT 100
