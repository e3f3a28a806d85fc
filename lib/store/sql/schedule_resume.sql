-- schedule_resume: resumes a paused schedule: it fires again, from now on. Ticks that fell into the pause make no jobs.
--
-- Guard:      the schedule is paused, and has still the revision for which the next tick was found.
-- Parameters: $1 name, $2 revision, $3 the next tick, $4 lock timeout, such as 200ms. After it, the statement fails with
--             lock_not_available (55P03).
-- Zero rows:  there is no such schedule. A schedule that is not paused, or that has changed, answers `changed = false`.
-- Index:      schedule_pkey.
WITH changed AS (
    UPDATE leasehold.schedule s SET paused_at = NULL, next_at = $3::timestamptz, revision = s.revision + 1
    WHERE s.name = $1::text AND s.revision = $2::bigint AND s.paused_at IS NOT NULL
      AND (SELECT set_config('lock_timeout', $4::text, true)) IS NOT NULL
    RETURNING s.name
)
SELECT EXISTS (SELECT FROM changed) AS changed FROM leasehold.schedule s WHERE s.name = $1::text
