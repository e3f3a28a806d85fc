-- place_batch: gives waiting jobs another priority, or another queue, and the matching position in the line.
--
-- Guard:      the row waits (blocked, scheduled or queued), locked in id order. A claim and this call wait for each other: the
--             first one decides, and the second one sees the result.
-- Parameters: ids; the new priority, or NULL to keep the priority of each job; the new queue, or NULL to keep the queue.
-- Answer:     each existing job: the queue before and after the call, the state, which the call does not change, the new
--             position, and whether the call changed the job. A job that finished between the snapshot and the lock has no
--             row here. A second call finds it.
-- Index:      job_pkey, and the primary keys of the partitions of history.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.place_batch(ids uuid[], priority integer, queue text)
RETURNS TABLE (id uuid, was_in text, is_in text, state text, line_at timestamptz, changed boolean)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    WITH target AS MATERIALIZED (
        SELECT j.id, j.queue, j.state, j.fair_key, j.fair_tag FROM leasehold.job j
        WHERE j.id = ANY (ids) ORDER BY j.id FOR UPDATE
    ), placed AS (
        UPDATE leasehold.job j
        SET priority = coalesce(place_batch.priority, j.priority), queue = coalesce(place_batch.queue, j.queue),
            line_at = CASE WHEN f.parks OR j.limited_at IS NOT NULL THEN 'infinity' WHEN f.stays THEN j.line_at
                           ELSE leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            -- A job that waits for room of a limit key keeps waiting, with its new position.
            limited_at = CASE WHEN j.limited_at IS NOT NULL AND NOT f.parks THEN leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            limited_by = CASE WHEN NOT f.parks THEN j.limited_by END,
            -- A parked job keeps waiting too, in the lane of its queue. An admitted one keeps its turn, unless it leaves its queue.
            -- A reaper then puts the jobs of its key in order.
            fair_at = CASE WHEN f.parks THEN leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            fair_tag = CASE WHEN f.stays THEN j.fair_tag END, fair_nth = CASE WHEN f.stays THEN j.fair_nth END
        FROM (SELECT t.id, t.state = 'queued' AND t.fair_tag IS NOT NULL AND place_batch.queue IS NULL AS stays,
                     t.state = 'queued' AND t.fair_key IS NOT NULL AND NOT (t.fair_tag IS NOT NULL AND place_batch.queue IS NULL)
                     AND leasehold.is_fair(coalesce(place_batch.queue, t.queue)) AS parks
              FROM target t) f
        WHERE j.id = f.id AND j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state IN ('blocked', 'scheduled', 'queued')))
          AND (j.priority <> place_batch.priority OR j.queue <> place_batch.queue)
        RETURNING j.id, j.queue, j.line_at
    )
    SELECT t.id, t.queue::text, coalesce(p.queue, t.queue)::text, t.state::text, nullif(p.line_at, 'infinity'), p.id IS NOT NULL
    FROM target t LEFT JOIN placed p ON p.id = t.id
    UNION ALL
    SELECT h.id, h.queue, h.queue, h.state::text, NULL, false FROM leasehold.history h
    WHERE h.id = ANY (ids) AND NOT EXISTS (SELECT FROM target t WHERE t.id = h.id)
$$;
