-- queue_settings: the settings of a queue and its pauses.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue.
-- Zero rows:  never.
-- Index:      queue_pkey, pause_pkey.
SELECT q.paused_at IS NOT NULL AS paused, (extract(epoch FROM q.priority_step) * 1000)::bigint AS priority_step_ms,
       q.dead_letter::text AS dead_letter, q.keep_days, coalesce(q.fair, true) AS fair,
       coalesce(q.encrypted, false) AS encrypted,
       ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $1 AND p.what = 'kind' ORDER BY p.name) AS paused_kinds,
       ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $1 AND p.what = 'fair_key' ORDER BY p.name) AS paused_fair_keys
FROM (VALUES (1)) AS one(row)
LEFT JOIN leasehold.queue q ON q.name = $1
