-- scheduled_long_due: a reaper promotes a due job within a tick. After a minute, no reaper is running.
-- Index: job_due.
SELECT j.id, format('scheduled for %s, and not in the line yet', j.run_at) AS detail
FROM leasehold.job j
WHERE j.state = 'scheduled' AND j.run_at < now() - interval '1 minute'
LIMIT 100
