-- functions: the functions that the database has from files, and the hash of each file.
--
-- Guard:      none, it only reads. Fails with undefined_table or invalid_schema_name when the schema is older than the
--             table of functions.
-- Zero rows:  never in a schema that has this table.
SELECT f.name, f.hash, f.revision, f.applied_at FROM leasehold.function f ORDER BY f.name
