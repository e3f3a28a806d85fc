-- enqueue_new: inserts jobs that should conflict with nothing, because their ids are new and they have no unique keys.
--
-- Guard:      the primary key. If it refuses a job after all, no job is inserted, and enqueue is used instead.
-- Parameters: the same as enqueue.
-- Zero rows:  impossible: the statement inserts all jobs or fails.
-- Index:      none is read.
-- Why:        searching for conflicts, and reserving each row before it is written, take a sixth of the time of enqueue
--             and 48 bytes of WAL for each job.
INSERT INTO leasehold.job AS j (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, timeout_ms,
                                unique_key, limit_key, state, line_at, on_clock)
SELECT s.id,
       -- Usually all jobs of a batch have the same queue and kind as its first job. So these two names are checked once.
       CASE WHEN s.queue = (SELECT ($2::text[])[1]) THEN (SELECT ($2::text[])[1]::leasehold.name) ELSE s.queue::leasehold.name END,
       CASE WHEN s.kind = (SELECT ($3::text[])[1]) THEN (SELECT ($3::text[])[1]::leasehold.name) ELSE s.kind::leasehold.name END,
       s.payload::json, s.priority, due.at, s.max_attempts, s.max_crashes, s.timeout_ms,
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
RETURNING j.id, j.state = 'queued' AS is_queued, j.line_at
