-- migration_index_invalid: whether an index was begun and not finished.
--
-- Guard:      none, it only reads the catalog.
-- Parameters: $1 its name.
SELECT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = to_regclass('leasehold.' || $1) AND NOT x.indisvalid)
