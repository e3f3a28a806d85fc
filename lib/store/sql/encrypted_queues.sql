-- encrypted_queues: the queues that take encrypted payloads.
--
-- Guard:      none, it only reads.
-- Zero rows:  there is no such queue.
-- Index:      none: reads the rows of all queues that somebody has set. Processes with keys ask every five seconds at the most.
SELECT q.name::text FROM leasehold.queue q WHERE q.encrypted
