-- note_repairs: records a repair in the trails of live jobs. Changes nothing else: state, lease and epoch stay the same.
--
-- Guard:      the row is live, in the state and (if given) of the epoch that the repair is about, and was not claimed in
--             the last $5 ms. A row that another session has locked is skipped: a claim or a settle uses the row, so no
--             repair is needed any more.
-- Parameters: $1 the process that repairs, $2 ids, $3 epochs (NULL means any), $4 state, or NULL for any, $5 ms, $6 note.
-- Zero rows:  a job that is not in the answer has moved on by itself, so it had no problem.
-- Once:       a repair that equals the last entry is not recorded again. Otherwise a repair that must be repeated would
--             push all other entries out of the trail. The job of such a repair is in the answer all the same.
-- Index:      job_pkey.
WITH repair AS MATERIALIZED (
    SELECT r.id, r.epoch FROM unnest($2::uuid[], $3::integer[]) AS r(id, epoch) ORDER BY r.id
), target AS MATERIALIZED (
    SELECT j.id, coalesce(j.last @> jsonb_build_object('verb', 'repair', 'epoch', j.epoch, 'note', $6::text), false) AS said
    FROM repair r
    CROSS JOIN LATERAL (
        SELECT j.id, j.epoch, j.trail -> -1 AS last FROM leasehold.job j
        WHERE j.id = r.id AND (r.epoch IS NULL OR j.epoch = r.epoch)
          -- Compared as text. Otherwise the planner may scan an index of one state to find one id.
          AND ($4::text IS NULL OR j.state::text = $4)
          AND (j.started_at IS NULL OR j.started_at <= now() - $5::bigint * interval '1 millisecond')
        FOR UPDATE SKIP LOCKED
    ) j
), noted AS (
    UPDATE leasehold.job j
    SET trail = leasehold.with_trail(j.trail, 'repair', j.epoch, $1, $6)
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE NOT t.said))
)
SELECT t.id FROM target t
