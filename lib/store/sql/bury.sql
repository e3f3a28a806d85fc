-- bury: running → dead: the attempts are used up, or it never can succeed. The row moves to history.
--
-- Guard:      fence (id, epoch, worker), locked in id order.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 errors.
-- Locked:     a row that another transaction has locked is skipped, so that it holds up no other run of the batch.
-- Zero rows:  for a run that is not in the answer the fence is stale, or an earlier answer was lost: settle_again
--             tells which.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id, r.error
    FROM (SELECT DISTINCT ON (r.id, r.epoch) * FROM unnest($2::uuid[], $3::integer[], $4::text[]) AS r(id, epoch, error)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) j
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.*
)
INSERT INTO leasehold.history AS h (id, run_at, created_at, started_at, finished_at, worker, epoch, attempt,
                                    max_attempts, timeout_ms, state, priority, crashes, max_crashes, queue, kind,
                                    payload, unique_key, limit_key, last_error, trail)
SELECT g.id, g.run_at, g.created_at, g.started_at, now(), g.worker, g.epoch, g.attempt,
       g.max_attempts, g.timeout_ms, 'dead', g.priority, g.crashes, g.max_crashes, g.queue, g.kind,
       g.payload, g.unique_key, g.limit_key, t.error, g.trail
FROM gone g JOIN target t ON t.id = g.id
RETURNING h.id, h.epoch
