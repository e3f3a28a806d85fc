-- renew: running → running, all runs of a worker in one batch.
--
-- Guard:      fence (id, epoch, worker), locked in id order.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 lease in ms.
-- Zero rows:  a run that is not in the answer has lost its lease; its handler must be told.
-- Locked:     a row that somebody else has locked (a cancel in an open transaction, say) is not waited for, or it
--             would cost the worker all of its other leases. It is in the answer as `locked`, since it is still the
--             worker's, with its old lease: to be renewed again at the next beat. Nobody can expire it while the lock
--             stands.
-- Index:      job_pkey.
WITH run AS MATERIALIZED (
    SELECT r.id, r.epoch FROM unnest($2::uuid[], $3::integer[]) AS r(id, epoch) ORDER BY r.id
), target AS MATERIALIZED (
    SELECT j.id
    FROM run r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) j
), renewed AS (
    UPDATE leasehold.job j
    SET lease_expires_at = now() + $4::bigint * interval '1 millisecond'
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id, j.epoch, j.cancel_requested_at IS NOT NULL AS cancel_wanted
)
SELECT n.id, n.epoch, n.cancel_wanted, false AS locked FROM renewed n
UNION ALL
SELECT held.id, held.epoch, held.cancel_wanted, true
FROM run r
CROSS JOIN LATERAL (
    SELECT j.id, j.epoch, j.cancel_requested_at IS NOT NULL AS cancel_wanted FROM leasehold.job j
    WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
    OFFSET 0
) held
WHERE NOT EXISTS (SELECT FROM target t WHERE t.id = r.id)
