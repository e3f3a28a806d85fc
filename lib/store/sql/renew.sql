-- renew: running → running, for all runs of a worker in one batch.
--
-- Guard:      fence (id, epoch, worker), locked in id order.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 lease in ms.
-- Zero rows:  a run that is not in the answer has lost its lease; the worker must stop its handler.
-- Locked:     the statement does not wait for a row that another session has locked (for example a cancel in an open
--             transaction). While the statement waited, all other leases of the worker would run out. A locked row is in the
--             answer as `locked`: the worker still holds it with the old lease, and must renew it at the next heartbeat. No
--             reaper can expire the row while it is locked.
-- Index:      job_pkey.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run:
--             the statement changes no number of jobs.
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
    UPDATE leasehold.job_noted j
    SET lease_expires_at = now() + $4::bigint * interval '1 millisecond'
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t)) AND j.state = 'running'
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
