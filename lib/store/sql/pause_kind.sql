-- pause_kind: pauses a kind in a queue: no job of this kind is claimed in this queue until the kind is resumed. Running jobs
-- continue. Neither the queue nor the kind needs to have a job yet.
--
-- Guard:      the kind is not paused in this queue.
-- Parameters: $1 queue, $2 kind, $3 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  the kind was already paused.
-- Index:      pause_pkey.
INSERT INTO leasehold.pause (queue, what, name)
SELECT $1, 'kind', $2 WHERE (SELECT set_config('lock_timeout', $3::text, true)) IS NOT NULL
ON CONFLICT (queue, what, name) DO NOTHING
RETURNING queue::text
