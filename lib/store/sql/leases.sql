-- leases: which runs hold a lease, and how long each still does.
--
-- Guard:      none, it reads. Leases that have run out and were not expired yet are among them.
-- Parameters: $1 limit, $2 the time before which none ends, or NULL
-- Zero rows:  nothing runs
-- Index:      job_lease
SELECT j.id, j.queue::text AS queue, j.worker, j.epoch,
       (extract(epoch FROM least(greatest(j.lease_expires_at, '0001-01-01'), '9999-12-31') - now()) * 1000)::bigint AS lease_ms_left
FROM leasehold.job j
WHERE j.lease_expires_at IS NOT NULL AND j.lease_expires_at >= coalesce($2::timestamptz, '-infinity')
ORDER BY j.lease_expires_at
LIMIT $1::bigint
