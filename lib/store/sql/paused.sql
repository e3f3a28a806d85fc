-- paused: the paused queues. The table has a row for each queue that has a setting.
--
-- Guard:      none, it only reads.
-- Zero rows:  no queue is paused.
-- Index:      none needed.
SELECT q.name::text AS name FROM leasehold.queue q WHERE q.paused_at IS NOT NULL ORDER BY q.name
