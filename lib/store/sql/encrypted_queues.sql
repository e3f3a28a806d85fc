-- encrypted_queues: the queues that take encrypted payloads.
--
-- Guard:      none, it only reads.
-- Zero rows:  there is no such queue.
-- Index:      none: reads all rows of leasehold.queue. Processes with keys send the statement at most once in five seconds.
SELECT q.name::text FROM leasehold.queue q WHERE q.encrypted
