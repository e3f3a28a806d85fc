-- paused: the paused queues. The table has a row for each queue that somebody has said something about.
--
-- Guard:      none, it only reads.
-- Zero rows:  nothing is paused.
-- Index:      none needed.
SELECT q.name::text AS name FROM leasehold.queue q WHERE q.paused_at IS NOT NULL ORDER BY q.name
