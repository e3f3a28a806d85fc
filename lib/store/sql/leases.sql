-- leases: the runs that hold a lease, and the rest of each lease.
--
-- Guard:      none, it only reads. Leases that have run out and were not expired yet are included.
-- Parameters: $1 limit, $2 scan start: no lease ends before this time, or NULL.
-- Zero rows:  no job runs.
-- Index:      job_lease.
SELECT j.id, j.queue::text AS queue, j.worker, j.epoch,
       (extract(epoch FROM least(greatest(j.lease_expires_at, '0001-01-01'), '9999-12-31') - now()) * 1000)::bigint AS lease_ms_left
FROM leasehold.job j
WHERE j.lease_expires_at IS NOT NULL AND j.lease_expires_at >= coalesce($2::timestamptz, '-infinity')
ORDER BY j.lease_expires_at
LIMIT $1::bigint
