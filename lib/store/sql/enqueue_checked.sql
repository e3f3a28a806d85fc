-- enqueue_checked: inserts jobs that may have been sent before, or whose unique key may be in use.
--
-- Guard:      the guard of the function: an id (live or finished) and a live unique key each name one job.
-- Parameters: the same as enqueue.
-- Answer:     one row for each job: `nth` (1 is the first), the id of the new or existing job, whether this call inserted
--             it, its state, and the position in the line of a job that is inserted now. Never fewer rows than jobs.
-- Index:      job_pkey, job_unique_key, and the primary keys of the partitions of history.
SELECT s.nth, c.id, c.inserted, c.state, leasehold.line_at(s.due, s.priority, s.queue) AS line_at
FROM (
    SELECT *, coalesce(s.run_at, now() + s.delay_ms * interval '1 millisecond', now()) AS due
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::bigint[],
                $8::integer[], $9::smallint[], $10::integer[], $11::text[], $12::text[]) WITH ORDINALITY
             AS s(id, queue, kind, payload, priority, run_at, delay_ms, max_attempts, max_crashes, timeout_ms,
                  unique_key, limit_key, nth)
    ORDER BY s.unique_key NULLS FIRST, s.id
) s
CROSS JOIN LATERAL leasehold.enqueue_checked(
    s.id, true, s.queue, s.kind, s.payload::json, s.priority, s.due,
    s.max_attempts, s.max_crashes, s.timeout_ms, s.unique_key, s.limit_key
) c
WHERE $13::text IS NULL OR (SELECT set_config('lock_timeout', $13::text, true)) IS NOT NULL
