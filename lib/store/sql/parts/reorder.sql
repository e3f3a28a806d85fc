-- reorder: gives jobs of a queue the line_at that the queue's priority_step asks for.
--
-- From:       rows of `seen`: id; and $1, the queue.
-- Guard:      a row that another session has locked is skipped: the row is being claimed or changed. A running job moves too: it
--             may come back into the line.
-- Shares:     a job that was admitted to the line by its share keeps its place.
-- Answer:     one row: the last id of `seen`, NULL if there was none; how many waiting jobs moved; and the ids of rows that were locked.
-- Index:      job_pkey.
wanted AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT s.id FROM seen s)) AND j.queue = $1
      AND j.priority <> 0 AND j.fair_tag IS NULL AND coalesce(j.limited_at, j.fair_at, j.line_at) <> leasehold.line_at(j.run_at, j.priority, j.queue)
), target AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT w.id FROM wanted w))
    ORDER BY j.id
    FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE leasehold.job j
    SET line_at = CASE WHEN j.limited_at IS NULL AND j.fair_at IS NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) ELSE 'infinity' END,
        -- A job that waits for room of a limit key, or in its lane, keeps waiting, with its new position.
        limited_at = CASE WHEN j.limited_at IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
        fair_at = CASE WHEN j.fair_at IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.state
)
SELECT (SELECT s.id FROM seen s ORDER BY s.id DESC LIMIT 1) AS last, (SELECT count(*) FROM moved m WHERE m.state::text <> 'running') AS moved,
       ARRAY(SELECT w.id FROM wanted w WHERE NOT EXISTS (SELECT FROM target t WHERE t.id = w.id)) AS locked
