-- purge: cancels waiting jobs of a queue, up to a limit. Running jobs are not changed.
--
-- Guard:      the row lock; a row that another session has locked is skipped, because its state is about to change.
-- Parameters: $1 queue, $2 limit.
-- Zero rows:  no job waits in the queue.
-- Index:      job_line_at, job_due, job_blocked; then job_pkey.
WITH line AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'queued' AND j.queue = $1
    LIMIT $2::bigint FOR UPDATE SKIP LOCKED
), scheduled AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'scheduled' AND j.queue = $1
    LIMIT greatest(0, $2::bigint - (SELECT count(*) FROM line)) FOR UPDATE SKIP LOCKED
), blocked AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'blocked' AND j.queue = $1
    LIMIT greatest(0, $2::bigint - (SELECT count(*) FROM line) - (SELECT count(*) FROM scheduled))
    FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT l.id FROM line l UNION ALL SELECT s.id FROM scheduled s UNION ALL SELECT b.id FROM blocked b))
    RETURNING j.*
), ended AS (
    -- include finish: state = 'cancelled'
    RETURNING h.id, h.state, h.is_parent, h.queue, h.kind
),
-- include note_ended
SELECT e.id FROM ended e
UNION ALL
-- This only tells the children of the end. A reaper finds the children that are now in the line.
SELECT c.id
FROM (
    -- include tell_children: ended = ended
) c
WHERE c.id IS NULL
