-- danger_room: whether a job that one more crash would end may begin on worker $1 now. They run one at a time; what has run for
-- 10 s holds up no other.
--
-- Index:      job_in_danger.
NOT EXISTS (
    SELECT FROM leasehold.job r
    WHERE r.worker = $1 AND r.crashes > 0 AND r.crashes + 1 >= r.max_crashes
      AND r.started_at > now() - interval '10 seconds')
