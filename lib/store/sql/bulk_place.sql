-- bulk_place: gives the waiting jobs that a filter chooses another priority or another queue: one page of the live table.
--
-- Guard:      the row still meets all conditions, and waits, when it is locked. A row that another session has locked is
--             skipped: it is being claimed or changed.
-- Parameters: $1 queue, $2 kind, $3 states, $4 until, $5 error pattern, $6 batch: see parts/chosen.sql; $7 the id after which the page
--             begins, $8 the number of jobs to examine, $9 the new priority, or NULL to keep it, $10 the new queue, or NULL to
--             keep it.
-- Answer:     rows of the kind `done`: a job that was changed; `locked`: a job that was skipped; `last`: the last job of the
--             page. The answer has no row for a job that already has this place.
-- Zero rows:  there is no job after $7.
-- Index:      job_pkey, in the order of ids. All pages together read the table once.
WITH
-- include chosen_page
, placed AS (
    UPDATE leasehold.job j
    SET priority = coalesce($9::integer, j.priority), queue = coalesce($10::text, j.queue),
        line_at = CASE WHEN f.parks OR j.limited_at IS NOT NULL THEN 'infinity' WHEN f.stays THEN j.line_at
                       ELSE leasehold.line_at(j.run_at, coalesce($9::integer, j.priority), coalesce($10::text, j.queue)) END,
        -- A job that waits for room of a limit key keeps waiting, with its new position.
        limited_at = CASE WHEN j.limited_at IS NOT NULL AND NOT f.parks THEN leasehold.line_at(j.run_at, coalesce($9::integer, j.priority), coalesce($10::text, j.queue)) END,
        limited_by = CASE WHEN NOT f.parks THEN j.limited_by END,
        -- A parked job keeps waiting too, in the lane of its queue. An admitted one keeps its turn, unless it leaves its queue.
        -- A reaper then puts the jobs of its key in order.
        fair_at = CASE WHEN f.parks THEN leasehold.line_at(j.run_at, coalesce($9::integer, j.priority), coalesce($10::text, j.queue)) END,
        fair_tag = CASE WHEN f.stays THEN j.fair_tag END, fair_nth = CASE WHEN f.stays THEN j.fair_nth END
    FROM (SELECT t.id, t.state = 'queued' AND t.fair_tag IS NOT NULL AND $10::text IS NULL AS stays,
                 t.state = 'queued' AND t.fair_key IS NOT NULL AND NOT (t.fair_tag IS NOT NULL AND $10::text IS NULL)
                 AND leasehold.is_fair(coalesce($10::text, t.queue)) AS parks
          FROM target t) f
    WHERE j.id = f.id AND j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state IN ('blocked', 'scheduled', 'queued')))
      AND (j.priority <> $9::integer OR j.queue <> $10::text)
    RETURNING j.id, j.queue, j.state, j.line_at
)
SELECT 'done' AS what, p.id, t.queue::text AS was_in, p.queue::text AS queue, p.state::text AS state, nullif(p.line_at, 'infinity') AS line_at,
       true AS changed
FROM placed p JOIN target t ON t.id = p.id
UNION ALL
SELECT 'locked', w.id, NULL, NULL, NULL, NULL, false FROM wanted w WHERE NOT EXISTS (SELECT FROM target t WHERE t.id = w.id)
UNION ALL
(SELECT 'last', s.id, NULL, NULL, NULL, NULL, false FROM seen s ORDER BY s.id DESC LIMIT 1)
