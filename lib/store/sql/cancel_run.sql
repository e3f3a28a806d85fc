-- cancel_run: running → cancelled. The worker has stopped a run whose cancel was wanted. The row moves to history.
--
-- Guard:      fence (id, epoch, worker), locked in id order, and a cancel is wanted.
-- Parameters: $1 worker, $2 ids, $3 epochs.
-- Locked:     a row that another transaction has locked is skipped, so that it does not delay the other runs of the batch.
-- Answer:     the runs that were ended. Then, without an epoch, the children that are now in the line.
-- Zero rows:  a run that is not in the answer has a stale fence, or no cancel is wanted, or an earlier answer was lost:
--             settle_again says which.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT * FROM unnest($2::uuid[], $3::integer[]) AS r(id, epoch) ORDER BY r.id) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        -- Not IS NOT NULL: with that condition the planner may scan job_cancel_wanted.
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
          AND coalesce(j.cancel_requested_at, 'infinity') < 'infinity'
        FOR UPDATE SKIP LOCKED
    ) j
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.*
), ended AS (
    -- include finish: state = 'cancelled'
    RETURNING h.id, h.epoch, h.state, h.is_parent, h.queue, h.kind
),
-- include note_ended
SELECT e.id, e.epoch, NULL::text AS queue, NULL::timestamptz AS line_at FROM ended e
UNION ALL
SELECT c.id, NULL, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
