-- resume_kind: ends the pause of a kind in a queue.
--
-- Guard:      the kind is paused in this queue.
-- Parameters: $1 queue, $2 kind, $3 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  the kind was not paused.
-- Index:      pause_pkey, queue_pkey.
-- Also:       the row of the queue notes when, for the start delay of its jobs: see due_at.
WITH ended AS (
    DELETE FROM leasehold.pause p
    WHERE p.queue = $1 AND p.what = 'kind' AND p.name = $2 AND (SELECT set_config('lock_timeout', $3::text, true)) IS NOT NULL
    RETURNING p.queue
), noted AS (
    INSERT INTO leasehold.queue AS q (name, resumed_at) SELECT e.queue, now() FROM ended e
    ON CONFLICT (name) DO UPDATE SET resumed_at = now()
)
SELECT e.queue::text FROM ended e
