-- held: the runs that a worker holds according to the rows: for a worker that sent a claim and got no answer.
--
-- Guard:      none, it only reads.
-- Parameters: $1 worker.
-- Zero rows:  the worker holds no run.
-- Index:      job_lease: all running jobs are read, which are few. Used only after a claim that was not answered.
SELECT j.id, j.queue::text AS queue, j.worker, j.epoch,
       (extract(epoch FROM least(greatest(j.lease_expires_at, '0001-01-01'), '9999-12-31') - now()) * 1000)::bigint AS lease_ms_left
FROM leasehold.job j
WHERE j.lease_expires_at IS NOT NULL AND j.worker = $1
