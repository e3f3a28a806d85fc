-- paused_kinds: the paused kinds of one queue or of all queues.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, or NULL for all queues.
-- Zero rows:  no kind is paused.
-- Index:      pause_pkey.
SELECT p.queue::text AS queue, p.name AS kind FROM leasehold.pause p
WHERE p.what = 'kind' AND ($1::text IS NULL OR p.queue = $1::text)
ORDER BY p.queue, p.name
