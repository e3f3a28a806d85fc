-- cancel_wanted: running jobs that are to be cancelled, for their workers to be told (again).
--
-- Guard:      none, it only reads.
-- Parameters: $1 limit.
-- Zero rows:  nobody wants a cancel.
-- Index:      job_cancel_wanted, which holds these rows only.
SELECT j.id, j.queue::text AS queue, j.worker, j.epoch
FROM leasehold.job j
WHERE j.cancel_requested_at IS NOT NULL
LIMIT $1::bigint
