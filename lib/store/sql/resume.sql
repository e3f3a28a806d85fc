-- resume: ends a pause.
--
-- Guard:      the queue is paused.
-- Parameters: $1 queue, $2 how long to wait for a lock, such as 200ms. What takes longer fails with lock_not_available (55P03).
-- Zero rows:  it was not paused.
-- Index:      queue_pkey.
UPDATE leasehold.queue q SET paused_at = NULL
WHERE q.name = $1 AND q.paused_at IS NOT NULL AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
RETURNING q.name::text
