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
        SELECT j.id, j.queue, j.kind, j.state, j.fair_key, j.fair_tag, j.run_at, j.priority, j.limit_keys, j.limited_at, j.limited_by
        FROM leasehold.job j
        WHERE j.id = ANY (ids) ORDER BY j.id FOR UPDATE
    ), before_key AS MATERIALIZED (
        -- The first of the jobs that wait for room of a key. Each comes into the line if it now comes before a job of its key that is
        -- there. The others follow when runs of the key end.
        SELECT b.id FROM (
            SELECT l.*, row_number() OVER (PARTITION BY l.limited_by, l.is_in, l.kind ORDER BY l.comes_at, l.id) AS nth
            FROM (SELECT t.id, t.kind, t.limit_keys, t.limited_by, coalesce(place_batch.queue, t.queue)::text AS is_in,
                         leasehold.line_at(t.run_at, coalesce(place_batch.priority, t.priority), coalesce(place_batch.queue, t.queue)) AS comes_at
                  FROM target t WHERE t.limited_at IS NOT NULL AND t.state = 'queued') l
        ) b
        WHERE b.nth <= 100 AND NOT (SELECT f.is_full FROM leasehold.first_full_key(b.limit_keys, b.is_in, b.kind::text, b.comes_at) f)
    ), placed AS (
        UPDATE leasehold.job j
        SET priority = coalesce(place_batch.priority, j.priority), queue = coalesce(place_batch.queue, j.queue),
            line_at = CASE WHEN f.parks OR f.is_limited THEN 'infinity' WHEN f.stays THEN j.line_at
                           ELSE leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            -- A job that waits for room of a limit key keeps waiting, with its new position, unless it comes into the line.
            limited_at = CASE WHEN f.is_limited AND NOT f.parks THEN leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            limited_by = CASE WHEN NOT f.parks THEN j.limited_by END,
            -- A parked job keeps waiting too, in the lane of its queue. An admitted one keeps its turn, unless it leaves its queue.
            -- A reaper then puts the jobs of its key in order.
            fair_at = CASE WHEN f.parks THEN leasehold.line_at(j.run_at, coalesce(place_batch.priority, j.priority), coalesce(place_batch.queue, j.queue)) END,
            fair_tag = CASE WHEN f.stays THEN j.fair_tag END, fair_nth = CASE WHEN f.stays THEN j.fair_nth END
        FROM (SELECT t.id, t.state = 'queued' AND t.fair_tag IS NOT NULL AND place_batch.queue IS NULL AS stays,
                     t.state = 'queued' AND t.fair_key IS NOT NULL AND NOT (t.fair_tag IS NOT NULL AND place_batch.queue IS NULL)
                     AND leasehold.is_fair(coalesce(place_batch.queue, t.queue)) AS parks,
                     t.limited_at IS NOT NULL AND NOT EXISTS (SELECT FROM before_key b WHERE b.id = t.id) AS is_limited
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
