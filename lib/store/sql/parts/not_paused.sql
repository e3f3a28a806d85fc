-- not_paused: the jobs whose kind is not paused in their queue.
--
-- Takes:      queue
-- From:       rows of leasehold.job, as `j`; queue: the queue of the hints, which is the queue of each job that is claimed.
-- Plan:       the first condition is computed once for each statement: most queues have no such pause. Only if there is one, the
--             second condition is computed for each job.
-- Index:      pause_pkey.
(NOT EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = $queue)
 OR NOT EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'kind' AND p.name = j.kind::text))
