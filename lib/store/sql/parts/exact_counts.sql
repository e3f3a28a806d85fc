-- exact_counts: how many jobs each queue and kind has in each live state, counted one by one.
--
-- Answer:     queue, kind, state, jobs.
-- Index:      job_line_at has all that is counted for queued jobs. For the other states, the indexes have one entry for each job, and the
--             queue and the kind are in its row.
SELECT j.queue::text AS queue, j.kind::text AS kind, 'queued'::leasehold.job_state AS state, count(*) AS jobs
FROM leasehold.job j WHERE j.state = 'queued' GROUP BY j.queue, j.kind
UNION ALL
SELECT j.queue::text, j.kind::text, 'scheduled', count(*) FROM leasehold.job j WHERE j.state = 'scheduled' GROUP BY j.queue, j.kind
UNION ALL
SELECT j.queue::text, j.kind::text, 'blocked', count(*) FROM leasehold.job j WHERE j.state = 'blocked' GROUP BY j.queue, j.kind
UNION ALL
SELECT j.queue::text, j.kind::text, 'running', count(*) FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL GROUP BY j.queue, j.kind
