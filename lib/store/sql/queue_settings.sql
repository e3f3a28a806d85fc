-- queue_settings: what somebody has said about a queue.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue.
-- Zero rows:  nobody has said anything.
-- Index:      queue_pkey.
SELECT q.paused_at IS NOT NULL AS paused, (extract(epoch FROM q.priority_step) * 1000)::bigint AS priority_step_ms,
       q.dead_letter::text AS dead_letter, q.keep_days, q.fair
FROM leasehold.queue q
WHERE q.name = $1
