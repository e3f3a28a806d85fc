-- complete: running → succeeded, with a result. The row moves to history in the same statement.
--
-- Guard:      fence (id, epoch, worker). A result is accepted even when a cancel is wanted.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 results (JSON as text, or NULL).
-- Locked:     a row that another transaction has locked is waited for, up to 50 ms. Then the whole statement fails with
--             lock_not_available (55P03), has changed nothing, and complete_careful is sent instead.
-- Zero rows:  for a run that is not in the answer the fence is stale, or an earlier answer was lost: settle_again
--             tells which.
-- Index:      job_pkey.
-- Order:      rows are locked as they are found: in the order of the parameters, which is that of ids.
-- Why wait:   a separate step that locks each row first, as complete_careful has it, costs a fifth of the statement, and
--             54 bytes of WAL for each job. The time limit is set within the statement, and ends with it.
WITH gone AS (
    DELETE FROM leasehold.job j
    USING unnest($2::uuid[], $3::integer[], $4::text[]) AS r(id, epoch, result)
    -- One at a time, as an array: or the planner may walk all of job_pkey beside the parameters.
    WHERE j.id = ANY (ARRAY[r.id]) AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
      AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
    RETURNING j.*, r.result
)
INSERT INTO leasehold.history AS h (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                                    max_attempts, timeout_ms, state, priority, crashes, max_crashes, queue, kind,
                                    payload, result, unique_key, limit_key, last_error, trail)
SELECT g.id, g.run_at, g.created_at, g.started_at, now(), g.worker, g.epoch, g.attempt,
       g.max_attempts, g.timeout_ms, 'succeeded', g.priority, g.crashes, g.max_crashes, g.queue, g.kind,
       g.payload, g.result::json, g.unique_key, g.limit_key,
       g.last_error, g.trail
FROM gone g
RETURNING h.id, h.epoch
