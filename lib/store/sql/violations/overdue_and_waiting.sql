-- overdue_and_waiting: a reaper ends a job that may not begin any more within a tick. After a minute, no reaper is running.
-- Index: job_overdue.
SELECT j.id, format('%s, but it may not begin after %s', j.state, least(j.expires_at, j.retry_until)) AS detail
FROM leasehold.job j
WHERE j.state <> 'running' AND least(j.expires_at, j.retry_until) < now() - interval '1 minute'
LIMIT 100
