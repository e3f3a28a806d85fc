-- report: writes the progress of runs. The new progress replaces the earlier progress of the job.
--
-- Guard:      fence (id, epoch, worker), locked in id order.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 parts that are done, or NULL, $5 notes: arrays of JSON objects as text, each with
--             nth, ago_ms and note.
-- Locked:     a row that another transaction has locked is skipped; the next report of the run contains everything.
-- Zero rows:  a run that is not in the answer has a stale fence, or its row is locked.
-- Index:      job_pkey. No index contains the changed column, so the new version of the row needs no index entry.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run:
--             the statement changes no number of jobs.
WITH target AS MATERIALIZED (
    SELECT j.id, r.done, r.notes
    FROM (SELECT DISTINCT ON (r.id, r.epoch) *
          FROM unnest($2::uuid[], $3::integer[], $4::float8[], $5::text[]) AS r(id, epoch, done, notes)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
        FOR UPDATE SKIP LOCKED
    ) j
)
UPDATE leasehold.job_noted j
SET progress = jsonb_build_object('epoch', j.epoch, 'done', t.done, 'at', now(), 'notes', (
        SELECT coalesce(jsonb_agg(jsonb_build_object('nth', n.nth, 'at', now() - n.ago_ms * interval '1 millisecond', 'note', n.note)
                                  ORDER BY n.nth), '[]')
        FROM json_to_recordset(t.notes::json) AS n(nth bigint, ago_ms bigint, note text)))
FROM target t
-- The array determines how rows are found. With only the join, the planner would hash a long line for a large batch.
WHERE j.id = t.id AND j.id = ANY (ARRAY(SELECT t.id FROM target t)) AND j.state = 'running'
RETURNING j.id
