-- http_undelivered: running → queued, for runs of HTTP workers whose answer was not written in time: their server has died. The
-- attempt is given back, as in release: no worker has received the run.
--
-- Guard:      the fence of the run, with the lease that the claim gave. A run with another lease was renewed, or claimed again
--             with the same claim id, so its worker has received it. No cancel is wanted: a run whose cancel is wanted ends with
--             its lease, and then the job is cancelled.
-- Parameters: $1 limit.
-- Zero rows:  every answer was written.
-- Locked:     a row that another session has locked is skipped until the next call.
-- Index:      http_claim_undelivered, job_pkey. IS NOT DISTINCT FROM keeps the planner from searching by the lease (job_lease).
WITH late AS MATERIALIZED (
    SELECT c.job, c.epoch, c.worker, c.lease_expires_at FROM leasehold.http_claim c
    WHERE c.deliver_by IS NOT NULL AND c.deliver_by < now()
    ORDER BY c.deliver_by LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
), unknown AS MATERIALIZED (
    SELECT l.* FROM late l
    CROSS JOIN LATERAL (
        SELECT FROM leasehold.job j
        WHERE j.id = l.job AND j.epoch = l.epoch AND j.worker = l.worker AND j.state = 'running'
          AND j.lease_expires_at IS NOT DISTINCT FROM l.lease_expires_at AND j.cancel_requested_at IS NULL
        OFFSET 0
    ) j
), target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT * FROM unknown ORDER BY job) u
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = u.job AND j.epoch = u.epoch AND j.worker = u.worker AND j.state = 'running'
          AND j.lease_expires_at IS NOT DISTINCT FROM u.lease_expires_at AND j.cancel_requested_at IS NULL
        FOR UPDATE SKIP LOCKED
    ) j
), noted AS (
    UPDATE leasehold.http_claim c SET deliver_by = NULL
    FROM late l
    WHERE c.job = l.job AND c.epoch = l.epoch
      AND (EXISTS (SELECT FROM target t WHERE t.id = l.job) OR NOT EXISTS (SELECT FROM unknown u WHERE u.job = l.job))
)
UPDATE leasehold.job j
SET state = 'queued', worker = NULL, lease_expires_at = NULL, attempt = j.attempt - 1,
    trail = leasehold.with_trail(j.trail, 'release', j.epoch, j.worker, NULL)
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.queue::text AS queue, j.line_at
