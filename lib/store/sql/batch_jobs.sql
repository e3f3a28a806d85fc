-- batch_jobs: a page of the jobs of a batch, live and finished, newest first: in descending order of the time of their enqueue,
-- then of their id.
--
-- Guard:      none, it only reads.
-- Parameters: $1 batch; $2 queue, $3 kind, $4 state, $5 the job after which the page starts, each NULL for any; $6 limit.
-- Zero rows:  there are no more jobs.
-- Index:      job_batch, history_batch. A page costs a read of all jobs of the batch.
WITH start AS MATERIALIZED (
    SELECT j.created_at, j.id FROM leasehold.jobs j WHERE j.id = $5::uuid LIMIT 1
)
SELECT j.id, j.queue, j.kind, j.state, j.priority, j.payload::text AS payload, j.result::text AS result,
       j.last_error, j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch, j.worker, j.run_at, j.created_at,
       j.started_at, j.finished_at, j.lease_expires_at, j.cancel_requested_at, j.timeout_ms, j.unique_key, j.limit_key, j.limit_keys,
       j.trail, j.retry::text AS retry, j.retry_until, j.expires_at, j.unique_rule, j.batch, j.fair_key
FROM leasehold.jobs j
WHERE j.batch = $1::text
  AND ($2::text IS NULL OR j.queue = $2::text) AND ($3::text IS NULL OR j.kind = $3::text)
  AND ($4::text IS NULL OR j.state = $4::text)
  AND ($5::uuid IS NULL OR (j.created_at, j.id) < (SELECT s.created_at, s.id FROM start s))
ORDER BY j.created_at DESC, j.id DESC LIMIT $6::bigint
