-- migration_try_lock: allows one migration at a time. The lock ends with the transaction, so it works through a pooler.
--
-- Guard:      does not wait: a session that waits in a statement has a snapshot, and a concurrent index creation would wait
--             for this snapshot.
-- Answer:     whether we have the lock.
SELECT pg_try_advisory_xact_lock(hashtextextended('leasehold.migration', 0))
