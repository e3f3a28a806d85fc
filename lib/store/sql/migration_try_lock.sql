-- migration_try_lock: one migration at a time; the lock ends with the transaction, so it works through a pooler.
--
-- Guard:      does not wait: whoever waits in a statement has a snapshot, for which an index that is made concurrently waits.
-- Answer:     whether the lock is ours.
SELECT pg_try_advisory_xact_lock(hashtextextended('leasehold.migration', 0))
