-- complete: running → succeeded, with a result. The row moves to history in the same statement. See also complete_alike.
--
-- Guard:      fence (id, epoch, worker). A result is accepted even when a cancel is wanted.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 results (JSON as text, or NULL).
-- Locked:     the statement waits up to 50 ms for a row that another transaction has locked. After that, the whole
--             statement fails with lock_not_available (55P03) and changes nothing, and complete_careful is sent instead.
-- Answer:     one row for each queue and kind, with the ids and epochs of the runs that were ended. Then a row without ids for
--             each child that is now in the line. A row for each run would make the statement a twelfth slower.
-- Zero rows:  a run that is not in the answer has a stale fence, or an earlier answer was lost: settle_again says which.
-- Index:      job_pkey.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run.
--             The statement notes its changes itself.
-- Order:      rows are locked in the order of the parameters, which are sorted by id.
-- Why wait:   a separate step that locks each row first, as in complete_careful, makes the statement a fifth slower and
--             writes 54 more bytes of WAL for each job. The statement sets the lock timeout for itself only.
WITH gone AS (
    DELETE FROM leasehold.job_noted j
    USING unnest($2::uuid[], $3::integer[], $4::text[]) AS r(id, epoch, result)
    -- An array with one id. Otherwise the planner may scan all of job_pkey alongside the parameters.
    WHERE j.id = ANY (ARRAY[r.id]) AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
      AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
    RETURNING
    -- include leaving
    , r.result
), ended AS (
    -- include finish: state = 'succeeded'; result = g.result::json
    RETURNING h.id, h.epoch, h.state, h.is_parent, h.queue, h.kind
), grouped AS MATERIALIZED (
    SELECT e.queue, e.kind, count(*) AS jobs, array_agg(e.id) AS ids, array_agg(e.epoch) AS epochs FROM ended e GROUP BY e.queue, e.kind
), noted AS (
    INSERT INTO leasehold.count_change (queue, kind, state, jobs, from_state)
    SELECT g.queue, g.kind, 'succeeded', g.jobs, 'running' FROM grouped g
)
SELECT g.ids, g.epochs, NULL::uuid AS id, NULL::text AS queue, NULL::timestamptz AS line_at
FROM grouped g
UNION ALL
SELECT NULL, NULL, c.id, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
