-- migration_begun: whether the database has the schema, and whether it has been migrated before.
--
-- Guard:      none, it only reads.
SELECT to_regnamespace('leasehold') IS NOT NULL AS has_schema, to_regclass('leasehold.migration') IS NOT NULL AS begun
