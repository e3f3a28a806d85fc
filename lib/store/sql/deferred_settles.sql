-- deferred_settles: the ends of runs that workers have left for a reaper to write, the oldest first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 limit.
-- Zero rows:  nothing is left, as nearly always.
-- Index:      none: the table is nearly always empty.
SELECT d.id, d.epoch, d.worker, d.queue::text AS queue, d.verb, d.text, d.delay_ms
FROM leasehold.deferred_settle d
ORDER BY d.deferred_at
LIMIT $1::bigint
