-- schedule_long_due: a reaper fires a due schedule within a tick. After a minute, no reaper is running.
-- Index: schedule_due.
SELECT NULL::uuid AS id, format('the tick of schedule %s at %s has not been fired', s.name, s.next_at) AS detail
FROM leasehold.schedule s
WHERE s.next_at < now() - interval '1 minute'
ORDER BY s.next_at LIMIT 100
