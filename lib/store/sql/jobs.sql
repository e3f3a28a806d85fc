-- jobs: a page of jobs, live and finished, newest id first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 kind, $3 state, $4 the id below which to begin, each NULL for any; $5 limit.
-- Zero rows:  there are no more.
-- Index:      job_pkey and the primary keys of the partitions of history, walked backwards and merged: a page costs
--             as many entries as it passes over. States other than succeeded have an index of their own in history.
SELECT id, queue, kind, state, priority, payload::text AS payload, result::text AS result, last_error, attempt,
       max_attempts, crashes, max_crashes, epoch, worker, run_at, created_at, started_at, finished_at,
       lease_expires_at, cancel_requested_at, timeout_ms, unique_key, limit_key, trail
FROM leasehold.jobs
WHERE ($1::text IS NULL OR queue = $1)
  AND ($2::text IS NULL OR kind = $2)
  AND ($3::text IS NULL OR state = $3)
  AND ($4::uuid IS NULL OR id < $4)
ORDER BY id DESC
LIMIT $5::bigint
