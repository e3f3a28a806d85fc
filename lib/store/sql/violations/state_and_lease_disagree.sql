-- state_and_lease_disagree: running jobs, and only they, have a worker, a lease and a start.
-- Index: none.
SELECT j.id, format('%s with worker %s, lease until %s, epoch %s, cancel wanted since %s', j.state,
                    coalesce(j.worker::text, 'none'), coalesce(j.lease_expires_at::text, 'never'), j.epoch,
                    coalesce(j.cancel_requested_at::text, 'never')) AS detail
FROM leasehold.job j
WHERE (j.state = 'running') <> (j.worker IS NOT NULL)
   OR (j.state = 'running') <> (j.lease_expires_at IS NOT NULL)
   OR (j.state = 'running' AND (j.epoch < 1 OR j.started_at IS NULL))
   OR (j.state <> 'running' AND j.cancel_requested_at IS NOT NULL)
   OR j.state NOT IN ('blocked', 'scheduled', 'queued', 'running')
LIMIT 100
