-- queued_before_its_time: every job in the line is due.
-- Index: job_line_at contains all columns of this check.
SELECT j.id, format('in the line, but its time is %s', j.run_at) AS detail
FROM leasehold.job j
WHERE j.state = 'queued' AND j.run_at > now() + interval '1 minute'
LIMIT 100
