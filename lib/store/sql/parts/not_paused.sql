-- not_paused: the jobs whose kind is not paused in their queue, and whose fair key is not paused either.
--
-- Takes:      queue
-- From:       rows of leasehold.job, as `j`; queue: the queue of the hints, which is the queue of each job that is claimed.
-- Plan:       the array is read once for each statement, and is empty for most queues. A correlated subquery beside it, for each job
--             or only if the array is not empty, would make each claim measurably slower.
--             The second array is read only for a job with a fair key: a plain job costs one comparison with NULL.
-- Index:      pause_pkey.
j.kind::text <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'kind'))
AND (j.fair_key IS NULL
     OR j.fair_key <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'fair_key')))
