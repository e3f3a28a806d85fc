-- crashed_room: how many more jobs that have crashed before may begin on worker $1 now. At most ten that began within the last
-- second run at once: one of them may be what killed their worker, and would take all others along again.
--
-- Index:      job_in_danger.
(10 - (SELECT count(*) FROM leasehold.job r
       WHERE r.worker = $1 AND r.crashes > 0 AND r.started_at > now() - interval '1 second'))
