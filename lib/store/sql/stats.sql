-- stats: the waiting and running jobs of each queue that has a job, a row or a pause, and the jobs that ended in the last minute.
--
-- Guard:      none, it only reads.
-- Zero rows:  no queue has a job, a row or a pause.
-- Oldest:     the earliest time at which the first job of a kind in the line became due. The order of jobs with a priority is not
--             the order in which they became due. If more than 500 pairs of queue and kind have jobs in the line, only the 500
--             pairs with the most jobs are read, because a probe takes up to 20 µs.
-- Index:      the indexes of the counts; job_line_at, up to 500 probes.
-- Times:      a time that somebody wrote by hand may be infinite, and PostgreSQL cannot subtract from it.
-- Cost:       depends on the number of queues and kinds, not on the number of jobs. The statement is for operators, and for
--             gauges that are read every few seconds. It must not be called for each job.
WITH
-- include counted
, longest AS MATERIALIZED (
    SELECT c.queue, c.kind FROM counted c WHERE c.queued > 0 ORDER BY c.queued DESC, c.queue, c.kind LIMIT 500
), named AS (
    SELECT c.queue, c.blocked, c.scheduled, c.queued, c.running, c.succeeded, c.dead, c.cancelled, NULL::timestamptz AS oldest
    FROM counted c
    WHERE c.blocked <> 0 OR c.scheduled <> 0 OR c.queued <> 0 OR c.running <> 0 OR c.succeeded <> 0 OR c.dead <> 0 OR c.cancelled <> 0
    UNION ALL
    SELECT l.queue, 0, 0, 0, 0, 0, 0, 0, (
        SELECT j.run_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = l.queue AND j.kind = l.kind
        ORDER BY j.line_at, j.id LIMIT 1)
    FROM longest l
    UNION ALL
    SELECT q.name::text, 0, 0, 0, 0, 0, 0, 0, NULL FROM leasehold.queue q
    UNION ALL
    SELECT p.queue::text, 0, 0, 0, 0, 0, 0, 0, NULL FROM leasehold.pause p
), paused_parts AS (
    SELECT p.queue::text AS queue, array_agg(p.name ORDER BY p.name) FILTER (WHERE p.what = 'kind') AS kinds,
           array_agg(p.name ORDER BY p.name) FILTER (WHERE p.what = 'fair_key') AS fair_keys
    FROM leasehold.pause p
    GROUP BY p.queue
), summed AS (
    SELECT n.queue, sum(n.blocked::integer) AS blocked, sum(n.scheduled::integer) AS scheduled, sum(n.queued::integer) AS queued,
           sum(n.running::integer) AS running, min(n.oldest) AS oldest, sum(n.succeeded::integer) AS succeeded, sum(n.dead::integer) AS dead,
           sum(n.cancelled::integer) AS cancelled
    FROM named n
    GROUP BY n.queue
)
SELECT s.queue, q.paused_at IS NOT NULL AS paused, coalesce(p.kinds, '{}') AS paused_kinds,
       coalesce(p.fair_keys, '{}') AS paused_fair_keys, coalesce(q.encrypted, false) AS encrypted,
       s.blocked, s.scheduled, s.queued, s.running,
       CASE WHEN s.oldest IS NOT NULL
           THEN extract(epoch FROM now() - least(greatest(s.oldest, '0001-01-01'), '9999-12-31'))::double precision
       END AS oldest_s,
       s.succeeded AS succeeded_last_minute, s.dead AS dead_last_minute, s.cancelled AS cancelled_last_minute
FROM summed s
LEFT JOIN leasehold.queue q ON q.name = s.queue
LEFT JOIN paused_parts p ON p.queue = s.queue
ORDER BY s.queue
