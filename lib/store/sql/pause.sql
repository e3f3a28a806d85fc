-- pause: nothing of this queue is claimed until it is resumed. Running jobs go on.
--
-- Guard:      the queue is not paused.
-- Parameters: $1 queue, $2 how long to wait for a lock, such as 200ms. What takes longer fails with lock_not_available (55P03).
-- Zero rows:  it was paused already.
-- Index:      queue_pkey.
INSERT INTO leasehold.queue AS q (name, paused_at)
SELECT $1, now() WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
ON CONFLICT (name) DO UPDATE SET paused_at = now() WHERE q.paused_at IS NULL
RETURNING q.name::text
