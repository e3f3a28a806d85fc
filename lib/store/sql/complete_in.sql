-- complete_in: running → succeeded, inside a transaction of the handler. The end of the job, the jobs that follow from the
-- success and the handler's own writes are committed together or rolled back together.
--
-- Guard:      fence (id, epoch, worker).
-- Parameters: $1 worker, $2 id, $3 epoch, $4 result (JSON as text, or NULL), $5 an array of jobs (JSON as text, or NULL).
-- Locked:     waits for a row that another transaction has locked: a heartbeat, for example. The caller has set the lock
--             timeout.
-- Answer:     the run, if it was ended. Then, without an epoch, the children and the new jobs that are now in the line.
-- Zero rows:  the lease is lost.
-- Index:      job_pkey.
WITH gone AS (
    DELETE FROM leasehold.job j
    WHERE j.id = $2::uuid AND j.epoch = $3::integer AND j.worker = $1::uuid AND j.state = 'running'
    RETURNING
    -- include leaving
), ended AS (
    -- include finish: state = 'succeeded'; result = $4::text::json
    RETURNING h.id, h.epoch, h.state, h.is_parent, h.queue, h.kind
),
-- include note_ended
SELECT e.id, e.epoch, NULL::text AS queue, NULL::timestamptz AS line_at FROM ended e
UNION ALL
SELECT c.id, NULL, c.queue, c.line_at
FROM (
    -- include tell_children: ended = ended
) c
UNION ALL
SELECT n.id, NULL, n.queue, n.line_at
FROM (SELECT $5::text::json AS jobs FROM ended e) f
CROSS JOIN LATERAL leasehold.follow(f.jobs) n
WHERE f.jobs IS NOT NULL
