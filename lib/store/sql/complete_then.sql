-- complete_then: running → succeeded, and other jobs follow from the success, in the same transaction.
--
-- Guard:      fence (id, epoch, worker), locked in id order. Only the jobs of runs that this statement has ended are enqueued.
-- Parameters: $1 worker, $2 ids, $3 epochs, $4 results (JSON as text, or NULL), $5 for each run an array of jobs (JSON as text).
-- Locked:     a run whose row another transaction has locked is skipped. If another transaction holds the unique key of a new job
--             for longer than 200 ms, the statement fails with lock_not_available (55P03) and changes nothing.
-- Answer:     the runs that were ended. Then, without an epoch, the children and the new jobs that are now in the line.
-- Zero rows:  for a run that is not in the answer, settle_again says why.
-- Refused:    if one job is not valid, the statement fails and changes nothing.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id, r.result, r.jobs
    FROM (SELECT DISTINCT ON (r.id, r.epoch) *
          FROM unnest($2::uuid[], $3::integer[], $4::text[], $5::text[]) AS r(id, epoch, result, jobs)
          ORDER BY r.id, r.epoch) r
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = r.id AND j.epoch = r.epoch AND j.worker = $1 AND j.state = 'running'
          AND (SELECT set_config('lock_timeout', '200ms', true)) IS NOT NULL
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
, following AS (
    SELECT json_agg(n.job ORDER BY t.id, n.nth) AS jobs
    FROM ended e
    JOIN target t ON t.id = e.id
    CROSS JOIN LATERAL json_array_elements(t.jobs::json) WITH ORDINALITY AS n(job, nth)
)
SELECT e.id, e.epoch, NULL::text AS queue, NULL::timestamptz AS line_at FROM ended e
UNION ALL
SELECT c.id, NULL, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
UNION ALL
SELECT n.id, NULL, n.queue, n.line_at
FROM following f
CROSS JOIN LATERAL leasehold.follow(f.jobs) n
WHERE f.jobs IS NOT NULL
