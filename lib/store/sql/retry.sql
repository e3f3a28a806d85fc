-- retry: running → scheduled. The handler failed and attempts are left. The attempt is spent.
--
-- Guard:      fence (id, epoch, worker), locked in id order; no cancel is wanted; an attempt is left.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 delays in ms, $5 errors.
-- Locked:     a row that another transaction has locked is skipped, so that it does not delay the other runs of the batch.
-- Zero rows:  for a run that is not in the answer, settle_again says why.
-- Time:       the first retry of a job sets until when its attempts may begin.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id, r.delay_ms, r.error
    FROM (SELECT DISTINCT ON (r.id, r.epoch) *
          FROM unnest($2::uuid[], $3::integer[], $4::bigint[], $5::text[]) AS r(id, epoch, delay_ms, error)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
          AND j.cancel_requested_at IS NULL AND j.attempt < j.max_attempts
        FOR UPDATE SKIP LOCKED
    ) j
)
UPDATE leasehold.job j
SET state = 'scheduled', worker = NULL, lease_expires_at = NULL, last_error = t.error,
    run_at = now() + t.delay_ms * interval '1 millisecond',
    retry_until = CASE WHEN j.retry IS NOT NULL THEN coalesce(j.retry_until, j.started_at + (j.retry ->> 'for')::interval) END,
    trail = leasehold.with_trail(j.trail, 'retry', j.epoch, j.worker, t.error)
FROM target t
-- The array determines how rows are found. With only the join, the planner would hash a long line for a large batch.
WHERE j.id = t.id AND j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.epoch
