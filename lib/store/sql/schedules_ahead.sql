-- schedules_ahead: the schedules whose next tick is in the future, for an operator's check.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  there is no such schedule.
-- Index:      none, it reads all schedules.
SELECT now() AS now, NULL::timestamptz AS next_due, s.name::text AS name, s.revision, s.cron, s.timezone, s.every_ms,
       s.missed_limit, s.next_at
FROM leasehold.schedule s
WHERE s.next_at > now()
