-- scheduled_long_due: a due job is promoted within a tick; after a minute, no reaper is at work.
-- Index: job_due.
SELECT j.id, format('scheduled for %s, and not in the line yet', j.run_at) AS detail
FROM leasehold.job j
WHERE j.state = 'scheduled' AND j.run_at < now() - interval '1 minute'
LIMIT 100
