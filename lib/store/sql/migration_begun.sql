-- migration_begun: whether the database has the schema, whether it was migrated before, and whether it has the table of
-- functions that come from files.
--
-- Guard:      none, it only reads.
SELECT to_regnamespace('leasehold') IS NOT NULL AS has_schema, to_regclass('leasehold.migration') IS NOT NULL AS begun,
       to_regclass('leasehold.function') IS NOT NULL AS has_functions
