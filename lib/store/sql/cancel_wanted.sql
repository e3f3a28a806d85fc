-- cancel_wanted: running jobs whose cancel is wanted. The reaper tells their workers (again).
--
-- Guard:      none, it only reads.
-- Parameters: $1 limit.
-- Zero rows:  no cancel is wanted.
-- Index:      job_cancel_wanted, which contains only these rows.
SELECT j.id, j.queue::text AS queue, j.worker, j.epoch
FROM leasehold.job j
WHERE j.cancel_requested_at IS NOT NULL
LIMIT $1::bigint
