-- schedule_remove: removes a schedule and its ticks. The jobs that it has made stay.
--
-- Guard:      none: a second caller finds nothing.
-- Parameters: $1 name, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  there is no such schedule.
-- Index:      schedule_pkey, schedule_tick_pkey.
DELETE FROM leasehold.schedule s
WHERE s.name = $1::text AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
RETURNING true AS changed
