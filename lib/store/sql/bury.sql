-- bury: running → dead. The attempts are used up, or the job can never succeed. The row moves to history.
--
-- Guard:      fence (id, epoch, worker), locked in id order.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 errors.
-- Locked:     a row that another transaction has locked is skipped, so that it does not delay the other runs of the batch.
-- Answer:     the runs that were ended. Then, without an epoch, the children that are now in the line.
-- Zero rows:  a run that is not in the answer has a stale fence, or an earlier answer was lost: settle_again says which.
-- Then:       a dead letter, if the queue of the job has a queue for them.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id, r.error
    FROM (SELECT DISTINCT ON (r.id, r.epoch) * FROM unnest($2::uuid[], $3::integer[], $4::text[]) AS r(id, epoch, error)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) j
), gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.*
), ended AS (
    -- include finish: state = 'dead'; error = t.error; from = gone g JOIN target t ON t.id = g.id
    RETURNING h.*
),
-- include note_ended: ended = ended
,
-- include dead_letter: ended = ended
SELECT e.id, e.epoch, NULL::text AS queue, NULL::timestamptz AS line_at FROM ended e
UNION ALL
SELECT c.id, NULL, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
