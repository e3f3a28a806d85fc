-- jobs_now: the current state of some jobs, live or finished, without their payloads and results.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 ids.
-- Zero rows:  no job has one of these ids.
-- Index:      job_pkey, and the primary keys of the partitions of history.
SELECT j.id, j.queue::text AS queue, j.kind::text AS kind, j.state::text AS state, j.attempt, j.epoch,
       (j.progress ->> 'done')::float8 AS done, j.progress ->> 'at' AS told_at
FROM leasehold.job j
WHERE j.id = ANY ($1::uuid[])
UNION ALL
SELECT h.id, h.queue::text, h.kind::text, h.state::text, h.attempt, h.epoch, (h.progress ->> 'done')::float8, h.progress ->> 'at'
FROM leasehold.history h
WHERE h.id = ANY ($1::uuid[])
