-- enqueue: inserts jobs with new ids, many in one statement. A due job is queued; a job for later is scheduled.
--
-- Guard:      the primary key, and the unique index on live unique keys. A job that conflicts with neither is inserted.
-- Parameters: one array for each column: $1 ids, $2 queues, $3 kinds, $4 payloads (JSON as text), $5 priorities, $6 run_at
--             or NULL, $7 delays in ms by the database's clock, or NULL, $8 max_attempts, $9 max_crashes, $10 timeouts in
--             ms, or NULL, $11 unique keys or NULL, $12 limit keys or NULL; $13 lock timeout, such as 200ms, or NULL for
--             the current setting. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  a job that is not in the answer conflicts with another job's id or unique key: enqueue_checked says which.
-- Index:      job_pkey, job_unique_key.
-- Order:      by unique key, so that two batches with the same keys cannot wait for each other in a circle.
INSERT INTO leasehold.job AS j (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, timeout_ms,
                                unique_key, limit_key, state, line_at, on_clock)
SELECT s.id, s.queue, s.kind, s.payload::json, s.priority, due.at, s.max_attempts, s.max_crashes, s.timeout_ms,
       s.unique_key, s.limit_key,
       CASE WHEN due.at > now() THEN 'scheduled' ELSE 'queued' END::leasehold.job_state,
       CASE WHEN s.priority = 0 THEN due.at ELSE leasehold.line_at(due.at, s.priority, s.queue) END,
       -- See migration 0041. The limits are computed once for each statement.
       s.id BETWEEN (SELECT leasehold.first_id_at(now() - interval '2 seconds'))
                AND (SELECT leasehold.first_id_at(now() + interval '2 seconds'))
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::smallint[], $6::timestamptz[], $7::bigint[],
            $8::integer[], $9::smallint[], $10::integer[], $11::text[], $12::text[])
         AS s(id, queue, kind, payload, priority, run_at, delay_ms, max_attempts, max_crashes, timeout_ms,
              unique_key, limit_key)
CROSS JOIN LATERAL (SELECT coalesce(s.run_at, now() + s.delay_ms * interval '1 millisecond', now()) AS at) due
WHERE $13::text IS NULL OR (SELECT set_config('lock_timeout', $13::text, true)) IS NOT NULL
ORDER BY s.unique_key NULLS FIRST, s.id
ON CONFLICT DO NOTHING
RETURNING j.id, j.state = 'queued' AS is_queued, j.line_at
