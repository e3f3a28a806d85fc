-- migration_lock: one migration at a time; the lock ends with the transaction, so it works through a pooler.
--
-- Guard:      waits for whoever migrates.
SELECT pg_advisory_xact_lock(hashtextextended('leasehold.migration', 0))
