-- stats: the waiting and running jobs of each queue that has a job, a row or a pause.
--
-- Guard:      none, it only reads.
-- Zero rows:  no queue has a job, a row or a pause.
-- Index:      job_line_at, job_due and job_blocked contain everything that is counted for waiting jobs; job_lease finds the
--             running jobs; history_finished finds the last minute.
-- Times:      a time that somebody wrote by hand may be infinite, and PostgreSQL cannot subtract from it.
-- Cost:       scans the index entries of all waiting jobs: about 100 ms for a million. For operators, and for gauges that
--             are read every few seconds. Must not be called for each job.
WITH counted(queue, blocked, scheduled, queued, running, oldest, succeeded, dead, cancelled) AS (
    SELECT j.queue::text, 0, 0, count(*), 0, min(j.run_at), 0, 0, 0
    FROM leasehold.job j WHERE j.state = 'queued' GROUP BY j.queue
    UNION ALL
    SELECT j.queue::text, 0, count(*), 0, 0, NULL, 0, 0, 0
    FROM leasehold.job j WHERE j.state = 'scheduled' GROUP BY j.queue
    UNION ALL
    SELECT j.queue::text, count(*), 0, 0, 0, NULL, 0, 0, 0
    FROM leasehold.job j WHERE j.state = 'blocked' GROUP BY j.queue
    UNION ALL
    SELECT j.queue::text, 0, 0, 0, count(*), NULL, 0, 0, 0
    FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL GROUP BY j.queue
    UNION ALL
    SELECT h.queue, 0, 0, 0, 0, NULL, count(*) FILTER (WHERE h.state = 'succeeded'),
           count(*) FILTER (WHERE h.state = 'dead'), count(*) FILTER (WHERE h.state = 'cancelled')
    FROM leasehold.history h WHERE h.finished_at > now() - interval '1 minute' GROUP BY h.queue
    UNION ALL
    SELECT q.name::text, 0, 0, 0, 0, NULL, 0, 0, 0 FROM leasehold.queue q
    UNION ALL
    SELECT p.queue::text, 0, 0, 0, 0, NULL, 0, 0, 0 FROM leasehold.pause p
)
SELECT c.queue, bool_or(q.paused_at IS NOT NULL) AS paused,
       ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = c.queue AND p.what = 'kind' ORDER BY p.name) AS paused_kinds,
       ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = c.queue AND p.what = 'fair_key' ORDER BY p.name) AS paused_fair_keys,
       bool_or(coalesce(q.encrypted, false)) AS encrypted,
       sum(c.blocked)::bigint AS blocked, sum(c.scheduled)::bigint AS scheduled, sum(c.queued)::bigint AS queued,
       sum(c.running)::bigint AS running, CASE WHEN min(c.oldest) IS NOT NULL
           THEN extract(epoch FROM now() - least(greatest(min(c.oldest), '0001-01-01'), '9999-12-31'))::double precision
       END AS oldest_s,
       sum(c.succeeded)::bigint AS succeeded_last_minute, sum(c.dead)::bigint AS dead_last_minute,
       sum(c.cancelled)::bigint AS cancelled_last_minute
FROM counted c
LEFT JOIN leasehold.queue q ON q.name = c.queue
GROUP BY c.queue
ORDER BY c.queue
