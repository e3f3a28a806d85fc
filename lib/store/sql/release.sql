-- release: running → queued, because the worker stops. The attempt is given back, and run_at stays, so that the job is near
-- the front again.
--
-- Guard:      fence (id, epoch, worker), locked in id order; no cancel is wanted.
-- Parameters: $1 worker, $2 ids, $3 epochs.
-- Locked:     a row that another transaction has locked is skipped, so that it does not delay the other runs of the batch.
-- Zero rows:  for a run that is not in the answer, settle_again says why.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT * FROM unnest($2::uuid[], $3::integer[]) AS r(id, epoch) ORDER BY r.id) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
          AND j.cancel_requested_at IS NULL
        FOR UPDATE SKIP LOCKED
    ) j
)
UPDATE leasehold.job j
SET state = 'queued', worker = NULL, lease_expires_at = NULL, attempt = j.attempt - 1,
    trail = leasehold.with_trail(j.trail, 'release', j.epoch, j.worker, NULL)
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.epoch
