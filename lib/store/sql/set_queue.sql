-- set_queue: sets the dead-letter queue of a queue, how long its finished jobs are kept, and whether jobs with fair keys share
-- the queue.
--
-- Guard:      none, the last caller wins.
-- Parameters: $1 queue, $2 whether to set the dead-letter queue, $3 this queue, or NULL for none, $4 whether to set the days,
--             $5 the days, or NULL for the setting of the fleet, $6 lock timeout, such as 200ms. After it, the statement fails
--             with lock_not_available (55P03); $7 whether the jobs with fair keys share the queue, or NULL to keep it.
-- Zero rows:  never.
-- Index:      queue_pkey.
INSERT INTO leasehold.queue AS q (name, dead_letter, keep_days, fair)
SELECT $1, CASE WHEN $2 THEN $3::text END, CASE WHEN $4 THEN $5::integer END, coalesce($7::boolean, true)
WHERE (SELECT set_config('lock_timeout', $6::text, true)) IS NOT NULL
ON CONFLICT (name) DO UPDATE
SET dead_letter = CASE WHEN $2::boolean THEN EXCLUDED.dead_letter ELSE q.dead_letter END,
    keep_days = CASE WHEN $4::boolean THEN EXCLUDED.keep_days ELSE q.keep_days END,
    fair = coalesce($7::boolean, q.fair)
RETURNING q.name::text
