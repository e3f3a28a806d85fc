-- lease_long_expired: a reaper expires a lease within a tick of its end. After a minute, no reaper is running.
-- Index: job_lease.
SELECT j.id, format('running on worker %s, but its lease ran out at %s', j.worker, j.lease_expires_at) AS detail
FROM leasehold.job j
WHERE j.lease_expires_at < now() - interval '1 minute'
LIMIT 100
