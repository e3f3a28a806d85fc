-- pause: pauses a queue: no job of the queue is claimed until the queue is resumed. Running jobs continue.
--
-- Guard:      the queue is not paused.
-- Parameters: $1 queue, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  the queue was already paused.
-- Index:      queue_pkey.
INSERT INTO leasehold.queue AS q (name, paused_at)
SELECT $1, now() WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
ON CONFLICT (name) DO UPDATE SET paused_at = now() WHERE q.paused_at IS NULL
RETURNING q.name::text
