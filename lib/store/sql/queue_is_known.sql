-- queue_is_known: whether anything names this queue: a live or a finished job, a setting, a pause, or a schedule.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue.
-- Zero rows:  never.
-- Index:      queue_pkey, pause_pkey; job_line_at, job_blocked, job_due_in_queue and job_lease for live jobs. History has no
--             index with the queue, and is read last. For an unknown name, all of history is read.
SELECT EXISTS (SELECT FROM leasehold.queue q WHERE q.name = $1)
    OR EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = $1)
    OR EXISTS (SELECT FROM leasehold.job j WHERE j.state = 'queued' AND j.queue = $1)
    OR EXISTS (SELECT FROM leasehold.job j WHERE j.state = 'scheduled' AND j.queue = $1)
    OR EXISTS (SELECT FROM leasehold.job j WHERE j.state = 'blocked' AND j.queue = $1)
    OR EXISTS (SELECT FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL AND j.queue = $1)
    OR EXISTS (SELECT FROM leasehold.schedule s WHERE s.queue = $1)
    OR EXISTS (SELECT FROM leasehold.history h WHERE h.queue = $1) AS known
