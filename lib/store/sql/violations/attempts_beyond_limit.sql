-- attempts_beyond_limit: attempts and crashes never exceed their limits. Checks live jobs, and jobs that finished in the last day.
-- Index: history_finished.
SELECT s.id, format('%s after %s of %s attempts and %s of %s crashes, %s claims', s.state, s.attempt, s.max_attempts,
                    s.crashes, s.max_crashes, s.epoch) AS detail
FROM (
    SELECT j.id, j.state, j.attempt, j.max_attempts, j.crashes, j.max_crashes, j.epoch
    FROM leasehold.job j
    WHERE j.attempt > j.max_attempts OR j.attempt < 0 OR j.attempt > j.epoch
       OR j.crashes >= j.max_crashes OR j.crashes < 0
       OR (j.state <> 'running' AND j.attempt >= j.max_attempts)
    UNION ALL
    SELECT h.id, h.state, h.attempt, h.max_attempts, h.crashes, h.max_crashes, h.epoch
    FROM leasehold.history h
    WHERE h.finished_at > now() - interval '1 day'
      AND (h.attempt > h.max_attempts OR h.attempt < 0 OR h.attempt > h.epoch
           OR h.crashes > h.max_crashes OR h.crashes < 0)
) s
LIMIT 100
