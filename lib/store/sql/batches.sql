-- batches: one batch, or the newest ones, each with the number of its jobs by state.
--
-- Guard:      none, it only reads. One snapshot sees a job in exactly one of the two tables.
-- Parameters: $1 name, or NULL for all; $2 limit.
-- Zero rows:  there is no batch of this name, or no batch at all.
-- Index:      batch_pkey or batch_created; job_batch and history_batch. Counts every job of these batches.
SELECT b.name::text AS name, b.created_at, b.sealed_at, b.completed_at, b.on_success::text AS on_success,
       b.on_complete::text AS on_complete, b.on_death::text AS on_death, b.callback_queue::text AS callback_queue,
       b.success_job, b.complete_job, b.death_job,
       live.blocked, live.scheduled, live.queued, live.running, finished.succeeded, finished.dead, finished.cancelled
FROM (
    SELECT * FROM leasehold.batch b WHERE $1::text IS NULL OR b.name = $1::text
    ORDER BY b.created_at DESC, b.name DESC LIMIT $2::bigint
) b
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE j.state = 'blocked') AS blocked, count(*) FILTER (WHERE j.state = 'scheduled') AS scheduled,
           count(*) FILTER (WHERE j.state = 'queued') AS queued, count(*) FILTER (WHERE j.state = 'running') AS running
    FROM leasehold.job j WHERE j.batch = b.name::text
) live
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE h.state = 'succeeded') AS succeeded, count(*) FILTER (WHERE h.state = 'dead') AS dead,
           count(*) FILTER (WHERE h.state = 'cancelled') AS cancelled
    FROM leasehold.history h WHERE h.batch = b.name::text
) finished
ORDER BY b.created_at DESC, b.name DESC
