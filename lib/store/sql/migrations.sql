-- migrations: what the database has of them.
--
-- Guard:      none, it only reads. Fails with undefined_table or invalid_schema_name when there is no schema yet.
-- Zero rows:  the schema was begun by hand and nothing was applied.
SELECT m.version, m.installed_on AS applied_at, m.checksum FROM leasehold.migration m WHERE m.success ORDER BY m.version
