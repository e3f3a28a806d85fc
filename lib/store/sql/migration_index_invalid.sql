-- migration_index_invalid: whether the creation of an index was started but not finished.
--
-- Guard:      none, it only reads the catalog.
-- Parameters: $1 the name of the index.
SELECT EXISTS (SELECT FROM pg_index x WHERE x.indexrelid = to_regclass('leasehold.' || $1) AND NOT x.indisvalid)
