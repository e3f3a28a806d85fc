-- bulk_cancel: cancels the jobs that a filter chooses: one page of the live table. Waiting jobs end here. Running jobs are
-- flagged, and their workers end the runs.
--
-- Guard:      the row still meets all conditions when it is locked. A row that another session has locked is skipped: it is being
--             claimed or changed.
-- Parameters: $1 queue, $2 kind, $3 states, $4 until, $5 error pattern, $6 batch: see parts/chosen.sql; $7 the id after which the page
--             begins, $8 the number of jobs to examine.
-- Answer:     rows of the kind `done`: a job that was changed, with its worker if it runs; `locked`: a job that was skipped;
--             `last`: the last job of the page.
-- Zero rows:  there is no job after $7.
-- Index:      job_pkey, in the order of ids. All pages together read the table once.
WITH
-- include chosen_page
, gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state IN ('blocked', 'scheduled', 'queued')))
    RETURNING j.*
), kept AS (
    -- include finish: state = 'cancelled'
    RETURNING h.id, h.queue, h.state, h.is_parent, h.kind
),
-- include note_ended: ended = kept
, flagged AS (
    -- The CASE keeps the first row that PostgreSQL builds valid: see cancel_batch.
    UPDATE leasehold.job j
    SET cancel_requested_at = CASE WHEN j.state = 'running' THEN coalesce(j.cancel_requested_at, now()) END
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state = 'running'))
    RETURNING j.id, j.queue, j.worker, j.epoch
)
SELECT 'done' AS what, k.id, k.queue, NULL::uuid AS worker, 0 AS epoch FROM kept k
UNION ALL
SELECT 'done', f.id, f.queue::text, f.worker, f.epoch FROM flagged f
UNION ALL
SELECT 'locked', w.id, NULL, NULL, 0 FROM wanted w WHERE NOT EXISTS (SELECT FROM target t WHERE t.id = w.id)
UNION ALL
-- This only tells the children of the end. A reaper finds the children that are now in the line.
SELECT 'done', c.id, c.queue, NULL, 0
FROM (
    -- include tell_children: ended = kept
) c
WHERE c.id IS NULL
UNION ALL
(SELECT 'last', s.id, NULL, NULL, 0 FROM seen s ORDER BY s.id DESC LIMIT 1)
