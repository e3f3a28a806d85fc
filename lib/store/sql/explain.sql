-- explain: one job, live or finished, with the time of the database and whether its queue or its kind is paused.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 id.
-- Zero rows:  no job has this id.
-- Locks:      the transaction that has locked a row is in the row itself. A transaction that is younger than 200 ms is left out:
--             workers lock their jobs for a moment all the time. PostgreSQL shows the transactions of other roles only to
--             superusers and to members of pg_read_all_stats; for other roles nobody has locked the row.
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
    SELECT a.pid, nullif(a.application_name, '') AS application, a.xact_start AS since
    FROM leasehold.job l JOIN pg_stat_activity a ON a.backend_xid = l.xmax
    WHERE l.id = j.id AND a.xact_start < clock_timestamp() - interval '200 ms'
    LIMIT 1
) locker ON true
WHERE j.id = $1
