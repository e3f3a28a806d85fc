-- not_paused: the jobs whose kind is not paused in their queue.
--
-- Takes:      queue
-- From:       rows of leasehold.job, as `j`; queue: the queue of the hints, which is the queue of each job that is claimed.
-- Plan:       the array is read once for each statement, and is empty for most queues. A correlated subquery beside it, for each job
--             or only if the array is not empty, would make each claim measurably slower.
-- Index:      pause_pkey.
j.kind::text <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'kind'))
