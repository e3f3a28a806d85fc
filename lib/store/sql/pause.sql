-- pause: nothing of this queue is claimed until it is resumed. Running jobs go on.
--
-- Guard:      the queue is not paused.
-- Parameters: $1 queue.
-- Zero rows:  it was paused already.
-- Index:      queue_pkey.
INSERT INTO leasehold.queue AS q (name, paused_at) VALUES ($1, now())
ON CONFLICT (name) DO UPDATE SET paused_at = now() WHERE q.paused_at IS NULL
RETURNING q.name::text
