-- crashed_room: how many more jobs that have crashed before may start on worker $1 now. At most ten such jobs that started
-- within the last second run at the same time: one of them may have killed its worker, and would crash all of them again.
--
-- Index:      job_in_danger.
(10 - (SELECT count(*) FROM leasehold.job r
       WHERE r.worker = $1 AND r.crashes > 0 AND r.started_at > now() - interval '1 second'))
