-- resume: ends a pause.
--
-- Guard:      the queue is paused.
-- Parameters: $1 queue.
-- Zero rows:  it was not paused.
-- Index:      queue_pkey.
UPDATE leasehold.queue q SET paused_at = NULL
WHERE q.name = $1 AND q.paused_at IS NOT NULL
RETURNING q.name::text
