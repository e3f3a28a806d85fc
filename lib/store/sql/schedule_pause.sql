-- schedule_pause: pauses a schedule: it does not fire until it is resumed. A tick that is due now makes no job.
--
-- Guard:      the schedule is not paused.
-- Parameters: $1 name, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  there is no such schedule. A schedule that was paused before answers `changed = false`.
-- Index:      schedule_pkey.
WITH changed AS (
    UPDATE leasehold.schedule s SET paused_at = now(), next_at = NULL, revision = s.revision + 1
    WHERE s.name = $1::text AND s.paused_at IS NULL AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
    RETURNING s.name
)
SELECT EXISTS (SELECT FROM changed) AS changed FROM leasehold.schedule s WHERE s.name = $1::text
