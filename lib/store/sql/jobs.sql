-- jobs: a page of jobs, live and finished, newest id first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 kind, $3 state, $4 the id below which to begin, each NULL for any; $5 limit.
-- Zero rows:  there are no more.
-- Index:      job_pkey and the primary keys of the partitions of history, walked backwards and merged: a page costs
--             as many entries as it passes over. States other than succeeded have an index of their own in history.
-- Form:       the two tables themselves, not the view, where state is text; and each state by its name, so that the
--             planner sees which one is asked for, passes over the table that cannot have it, and uses its index.
SELECT j.id, j.queue, j.kind, j.state::text AS state, j.priority, j.payload::text AS payload, j.result::text AS result,
       j.last_error, j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch, j.worker, j.run_at, j.created_at,
       j.started_at, j.finished_at, j.lease_expires_at, j.cancel_requested_at, j.timeout_ms, j.unique_key, j.limit_key,
       j.trail
FROM (
    SELECT l.id, l.queue::text AS queue, l.kind::text AS kind, l.state, l.priority::smallint AS priority,
           l.payload::json AS payload, NULL::json AS result, l.last_error, l.attempt, l.max_attempts, l.crashes,
           l.max_crashes, l.epoch, l.worker, l.run_at, l.created_at, l.started_at, NULL::timestamptz AS finished_at,
           l.lease_expires_at, l.cancel_requested_at, l.timeout_ms, l.unique_key::text AS unique_key,
           l.limit_key::text AS limit_key, l.trail
    FROM leasehold.job l
    UNION ALL
    SELECT h.id, h.queue, h.kind, h.state, h.priority, h.payload, h.result, h.last_error, h.attempt, h.max_attempts,
           h.crashes, h.max_crashes, h.epoch, h.worker, h.run_at, h.created_at, h.started_at, h.finished_at,
           NULL, NULL, h.timeout_ms, h.unique_key, h.limit_key, h.trail
    FROM leasehold.history h
) j
WHERE ($1::text IS NULL OR j.queue = $1)
  AND ($2::text IS NULL OR j.kind = $2)
  AND ($3::text IS DISTINCT FROM 'blocked' OR j.state = 'blocked')
  AND ($3::text IS DISTINCT FROM 'scheduled' OR j.state = 'scheduled')
  AND ($3::text IS DISTINCT FROM 'queued' OR j.state = 'queued')
  AND ($3::text IS DISTINCT FROM 'running' OR (j.state = 'running' AND j.lease_expires_at IS NOT NULL))
  AND ($3::text IS DISTINCT FROM 'succeeded' OR j.state = 'succeeded')
  AND ($3::text IS DISTINCT FROM 'dead' OR j.state = 'dead')
  AND ($3::text IS DISTINCT FROM 'cancelled' OR j.state = 'cancelled')
  AND ($4::uuid IS NULL OR j.id < $4)
ORDER BY j.id DESC
LIMIT $5::bigint
