-- explain: one job, live or finished, with the time of the database and whether its queue is paused.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 id.
-- Zero rows:  no job has this id.
-- Index:      job_pkey, job_begun_key, and the primary keys of the partitions of history; queue_pkey.
SELECT j.id, j.queue, j.kind, j.state, j.priority, j.payload::text AS payload, j.result::text AS result, j.last_error,
       j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch, j.worker, j.run_at, j.created_at, j.started_at,
       j.finished_at, j.lease_expires_at, j.cancel_requested_at, j.timeout_ms, j.unique_key, j.limit_key, j.trail,
       j.retry::text AS retry, j.retry_until, j.expires_at, j.unique_rule, j.batch,
       now() AS as_of,
       EXISTS (SELECT FROM leasehold.queue q WHERE q.name = j.queue AND q.paused_at IS NOT NULL) AS paused,
       CASE WHEN j.unique_rule = 'keep_last' AND j.state IN ('queued', 'scheduled') THEN
           (SELECT b.id FROM leasehold.job b
            WHERE b.begun_key = j.unique_key AND b.unique_rule = 'keep_last' AND b.id <> j.id LIMIT 1) END AS key_held_by
FROM leasehold.jobs j
WHERE j.id = $1
