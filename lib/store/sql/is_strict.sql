-- is_strict: whether a job with a higher priority always comes first in a queue.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 the step of a queue with this order, in ms.
-- Zero rows:  never.
-- Index:      queue_pkey.
SELECT EXISTS (
    SELECT FROM leasehold.queue q WHERE q.name = $1 AND q.priority_step >= $2::bigint * interval '1 millisecond') AS is_strict
