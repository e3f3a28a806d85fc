-- deferred_settles: results that workers have left for a reaper to write, the oldest first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 limit.
-- Zero rows:  no result is left, the usual case.
-- Index:      none: the table is nearly always empty.
SELECT d.id, d.epoch, d.worker, d.queue::text AS queue, d.verb, d.text, d.delay_ms, d.following
FROM leasehold.deferred_settle d
ORDER BY d.deferred_at
LIMIT $1::bigint
