-- migration_begun: whether this database has been migrated before.
--
-- Guard:      none, it only reads.
SELECT to_regclass('leasehold.migration') IS NOT NULL
