-- complete_careful: the same as complete, for times when other transactions hold locks on running jobs.
--
-- Guard:      fence (id, epoch, worker), locked in id order. A result is accepted even when a cancel is wanted.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 results (JSON as text, or NULL).
-- Locked:     a row that another transaction has locked is skipped, so that it does not delay the other runs of the batch.
-- Answer:     the runs that were ended. Then, without an epoch, the children that are now in the line.
-- Zero rows:  for a run that is not in the answer, settle_again says why.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id, r.result
    FROM (SELECT DISTINCT ON (r.id, r.epoch) * FROM unnest($2::uuid[], $3::integer[], $4::text[]) AS r(id, epoch, result)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) j
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING
    -- include leaving
), ended AS (
    -- include finish: state = 'succeeded'; result = t.result::json; from = gone g JOIN target t ON t.id = g.id
    RETURNING h.id, h.epoch, h.state, h.is_parent, h.queue, h.kind
),
-- include note_ended
SELECT e.id, e.epoch, NULL::text AS queue, NULL::timestamptz AS line_at FROM ended e
UNION ALL
SELECT c.id, NULL, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
