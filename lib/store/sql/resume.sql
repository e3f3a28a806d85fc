-- resume: ends a pause, and notes when.
--
-- Guard:      the queue is paused.
-- Parameters: $1 queue, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  the queue was not paused.
-- Index:      queue_pkey.
UPDATE leasehold.queue q SET paused_at = NULL, resumed_at = now()
WHERE q.name = $1 AND q.paused_at IS NOT NULL AND (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
RETURNING q.name::text
