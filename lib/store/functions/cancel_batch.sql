-- cancel_batch: cancels many jobs in one call. A waiting job ends here. A running job is flagged, and its worker ends the run.
--
-- Guard:      row locks, taken in id order. A cancel and a claim of one job wait for each other: the first one decides, and the
--             second one sees the result.
-- Parameters: ids.
-- Answer:     the state of each existing job after the call. A job that finished between the snapshot and the lock is in
--             neither table of this snapshot, so it has no row here. A second call finds it.
-- Index:      job_pkey, and the primary keys of the partitions of history.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.cancel_batch(ids uuid[])
RETURNS TABLE (id uuid, queue text, state text, worker uuid, epoch integer, changed boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH target AS MATERIALIZED (
        SELECT j.id, j.state FROM leasehold.job j
        WHERE j.id = ANY (ids) ORDER BY j.id FOR UPDATE
    ), gone AS (
        DELETE FROM leasehold.job j
        WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state IN ('blocked', 'scheduled', 'queued')))
        RETURNING j.*
    ), kept AS (
        -- include finish: state = 'cancelled'
        RETURNING h.id, h.queue, h.epoch, h.state, h.is_parent, h.kind
    ),
    -- include note_ended: ended = kept
    , flagged AS (
        -- PostgreSQL first builds and checks the new row from the version in its snapshot, and only then finds a newer
        -- version. A job that was claimed a moment ago is queued in the snapshot. The CASE keeps this first row valid.
        UPDATE leasehold.job j
        SET cancel_requested_at = CASE WHEN j.state = 'running' THEN coalesce(j.cancel_requested_at, now()) END
        WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state = 'running'))
        RETURNING j.id, j.queue, j.worker, j.epoch
    )
    SELECT k.id, k.queue, 'cancelled', NULL::uuid, k.epoch, true FROM kept k
    UNION ALL
    SELECT f.id, f.queue::text, 'running', f.worker, f.epoch, true FROM flagged f
    UNION ALL
    SELECT h.id, h.queue, h.state::text, NULL, h.epoch, false FROM leasehold.history h
    WHERE h.id = ANY (ids) AND NOT EXISTS (SELECT FROM target t WHERE t.id = h.id)
    UNION ALL
    -- This only tells the children of the end. A reaper finds the children that are now in the line.
    SELECT c.id, c.queue, NULL, NULL, NULL, NULL
    FROM (
        -- include tell_children: ended = kept
    ) c
    WHERE c.id IS NULL
$$;
