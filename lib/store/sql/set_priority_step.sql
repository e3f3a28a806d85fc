-- set_priority_step: sets what one point of priority is worth in a queue: so much waiting. The jobs that wait are moved by
-- reorder_line.
--
-- Guard:      none, the last caller wins.
-- Parameters: $1 queue, $2 the step in ms, $3 lock timeout, such as 200ms. After it, the statement fails with
--             lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      queue_pkey.
INSERT INTO leasehold.queue AS q (name, priority_step)
SELECT $1, make_interval(secs => $2::bigint / 1000.0)
WHERE (SELECT set_config('lock_timeout', $3::text, true)) IS NOT NULL
ON CONFLICT (name) DO UPDATE SET priority_step = EXCLUDED.priority_step
RETURNING q.name::text
