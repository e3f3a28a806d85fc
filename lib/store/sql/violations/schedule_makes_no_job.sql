-- schedule_makes_no_job: the last tick of a schedule made no job, because the row cannot be read or the job is refused.
-- Index: none, there are few schedules.
SELECT NULL::uuid AS id, format('schedule %s: %s', s.name, s.last_error) AS detail
FROM leasehold.schedule s
WHERE s.last_error IS NOT NULL
ORDER BY s.name LIMIT 100
