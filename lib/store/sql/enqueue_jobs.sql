-- enqueue_jobs: inserts jobs with fields that the statements for many jobs do not support: retry, expires_at, unique. The same
-- call may contain any other jobs, also jobs that may have been sent before.
--
-- Guard:      the guard of the function.
-- Parameters: $1 an array of JSON objects (as text), $2 whether to skip jobs that an open transaction holds, $3 lock timeout,
--             such as 200ms, or NULL for the current setting. After it, the statement fails with lock_not_available (55P03).
-- Answer:     the answer of the function. Never fewer rows than jobs.
-- Index:      job_pkey, job_unique_key, unique_period_pkey, and the primary keys of the partitions of history.
SELECT e.nth, e.id, e.inserted, e.replaced, e.state, e.queue, e.line_at, e.held
FROM leasehold.enqueue_jobs(CASE WHEN $3::text IS NULL OR set_config('lock_timeout', $3::text, true) IS NOT NULL
                                 THEN $1::text::json END, $2::boolean) e
