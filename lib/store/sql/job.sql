-- job: one job, live or finished.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 id.
-- Zero rows:  no job has this id.
-- Index:      job_pkey, job_webhook_pkey, and the primary keys of the partitions of history.
SELECT id, queue, kind, state, priority, payload::text AS payload, result::text AS result, last_error, attempt,
       max_attempts, crashes, max_crashes, epoch, worker, run_at, created_at, started_at, finished_at,
       lease_expires_at, cancel_requested_at, timeout_ms, unique_key, limit_key, limit_keys, trail, retry::text AS retry,
       retry_until, expires_at, unique_rule, batch, fair_key,
       (SELECT l.progress FROM leasehold.job l WHERE l.id = $1 UNION ALL
        SELECT h.progress FROM leasehold.history h WHERE h.id = $1 LIMIT 1)::text AS progress,
       CASE WHEN retry IS NOT NULL THEN (SELECT n.webhook::text FROM leasehold.job_webhook n WHERE n.job = $1) END AS webhook
FROM leasehold.jobs
WHERE id = $1
