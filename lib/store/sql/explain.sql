-- explain: one job, live or finished, with the time of the database and whether its queue or its kind is paused.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 id.
-- Zero rows:  no job has this id.
-- Locks:      the transaction that has locked a row is in the row itself: see locker_of.
-- Index:      job_pkey, job_begun_key, and the primary keys of the partitions of history; queue_pkey; pause_pkey.
SELECT j.id, j.queue, j.kind, j.state, j.priority, j.payload::text AS payload, j.result::text AS result, j.last_error,
       j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch, j.worker, j.run_at, j.created_at, j.started_at,
       j.finished_at, j.lease_expires_at, j.cancel_requested_at, j.timeout_ms, j.unique_key, j.limit_key, j.limit_keys, j.trail,
       j.retry::text AS retry, j.retry_until, j.expires_at, j.unique_rule, j.batch, j.fair_key,
       now() AS as_of,
       EXISTS (SELECT FROM leasehold.queue q WHERE q.name = j.queue AND q.paused_at IS NOT NULL) AS paused,
       EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = j.queue AND p.what = 'kind' AND p.name = j.kind) AS kind_paused,
       CASE WHEN j.unique_rule = 'keep_last' AND j.state IN ('queued', 'scheduled') THEN
           (SELECT b.id FROM leasehold.job b
            WHERE b.begun_key = j.unique_key AND b.unique_rule = 'keep_last' AND b.id <> j.id LIMIT 1) END AS key_held_by,
       locker.pid AS locker_pid, locker.application AS locker_application, locker.since AS locked_since
FROM leasehold.jobs j
LEFT JOIN LATERAL (
    SELECT l.xmax AS number FROM leasehold.job l WHERE l.id = j.id AND l.xmax <> '0'
) locked ON true
LEFT JOIN LATERAL (
    -- include locker_of: xmaxes = ARRAY[locked.number]; table = leasehold.job
) locker ON locked.number IS NOT NULL
WHERE j.id = $1
