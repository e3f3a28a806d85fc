-- set_priority_step: sets the priority step of a queue: the waiting time that one point of priority is worth. The same
-- transaction notes that the jobs of the queue must move. The caller moves the waiting jobs, and a reaper moves the jobs that
-- are left.
--
-- Guard:      none, the last caller wins.
-- Parameters: $1 queue, $2 the step in ms, $3 lock timeout, such as 200ms. After it, the statement fails with
--             lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      queue_pkey, reorder_pkey.
WITH changed AS (
    INSERT INTO leasehold.queue AS q (name, priority_step)
    SELECT $1, make_interval(secs => $2::bigint / 1000.0)
    WHERE (SELECT set_config('lock_timeout', $3::text, true)) IS NOT NULL
    ON CONFLICT (name) DO UPDATE SET priority_step = EXCLUDED.priority_step
    RETURNING q.name::text AS name
)
INSERT INTO leasehold.reorder (queue, since)
SELECT c.name, pg_current_xact_id() FROM changed c
ON CONFLICT (queue) DO UPDATE SET since = EXCLUDED.since
RETURNING queue
