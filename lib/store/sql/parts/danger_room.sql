-- danger_room: whether a job that one more crash would end may start on worker $1 now. Such jobs run one at a time. A job that
-- has run for 10 s does not block the others.
--
-- Index:      job_in_danger.
NOT EXISTS (
    SELECT FROM leasehold.job r
    WHERE r.worker = $1 AND r.crashes > 0 AND r.crashes + 1 >= r.max_crashes
      AND r.started_at > now() - interval '10 seconds')
