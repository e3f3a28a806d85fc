-- note_repairs: writes into the trails of live jobs that something about them was put right. Changes nothing else: the
-- state, the lease and the epoch stay as they are.
--
-- Guard:      the row is live, in the state and, where one is given, of the epoch that the repair is about, and was not
--             claimed in the last $5 ms. A row that somebody else has locked is passed over: a claim or a settle is
--             at it, and there is nothing left to put right.
-- Parameters: $1 who, $2 ids, $3 epochs (NULL in it: any), $4 state or NULL for any, $5 ms, $6 note.
-- Zero rows:  for a job that is not in the answer: it has moved on by itself, so nothing was wrong with it.
-- Once:       what the last entry says already is not said again, so that a repair that has to be made over and over
--             does not push all else out of the trail. Such a job is in the answer all the same.
-- Index:      job_pkey.
WITH repair AS MATERIALIZED (
    SELECT r.id, r.epoch FROM unnest($2::uuid[], $3::integer[]) AS r(id, epoch) ORDER BY r.id
), target AS MATERIALIZED (
    SELECT j.id, coalesce(j.last @> jsonb_build_object('verb', 'repair', 'epoch', j.epoch, 'note', $6::text), false) AS said
    FROM repair r
    CROSS JOIN LATERAL (
        SELECT j.id, j.epoch, j.trail -> -1 AS last FROM leasehold.job j
        WHERE j.id = r.id AND (r.epoch IS NULL OR j.epoch = r.epoch)
          -- As text, or the planner may walk an index of one state to find one id.
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
