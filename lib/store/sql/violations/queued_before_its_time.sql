-- queued_before_its_time: what is in the line is due.
-- Index: job_line alone holds what is asked.
SELECT j.id, format('in the line, but its time is %s', j.run_at) AS detail
FROM leasehold.job j
WHERE j.state = 'queued' AND j.run_at > now() + interval '1 minute'
LIMIT 100
