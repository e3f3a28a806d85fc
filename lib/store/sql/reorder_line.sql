-- reorder_line: gives waiting jobs of a queue the line_at that the queue's priority_step asks for. One batch.
--
-- Guard:      the row waits in the queue. A row that another session has locked is skipped: it is being claimed or changed.
-- Parameters: $1 queue, $2 the id after which the batch begins, $3 the number of jobs to look at.
-- Zero rows:  never. One row: the last id that was looked at, NULL if there was none: then all is done; how many jobs moved; and
--             the ids of rows that were locked.
-- Index:      job_pkey, in the order of ids. So all batches together read the table once.
WITH seen AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j WHERE j.id > $2::uuid ORDER BY j.id LIMIT $3::bigint
), wanted AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT s.id FROM seen s)) AND j.state::text IN ('blocked', 'scheduled', 'queued') AND j.queue = $1
      AND j.priority <> 0 AND coalesce(j.limited_at, j.line_at) <> leasehold.line_at(j.run_at, j.priority, j.queue)
), target AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT w.id FROM wanted w)) AND j.state::text IN ('blocked', 'scheduled', 'queued')
    ORDER BY j.id
    FOR UPDATE SKIP LOCKED
), moved AS (
    UPDATE leasehold.job j
    SET line_at = CASE WHEN j.limited_at IS NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) ELSE 'infinity' END,
        -- A job that waits for room of a limit key keeps waiting, with its new position.
        limited_at = CASE WHEN j.limited_at IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id
)
SELECT (SELECT s.id FROM seen s ORDER BY s.id DESC LIMIT 1) AS last, (SELECT count(*) FROM moved) AS moved,
       ARRAY(SELECT w.id FROM wanted w WHERE NOT EXISTS (SELECT FROM target t WHERE t.id = w.id)) AS locked
