-- migration_lock: allows one migration at a time. The lock ends with the transaction, so it works through a pooler.
--
-- Guard:      waits for another running migration.
SELECT pg_advisory_xact_lock(hashtextextended('leasehold.migration', 0))
