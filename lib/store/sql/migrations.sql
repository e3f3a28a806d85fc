-- migrations: the migrations that the database has.
--
-- Guard:      none, it only reads. Fails with undefined_table or invalid_schema_name when there is no schema yet.
-- Zero rows:  somebody created the schema by hand, and no migration was applied.
SELECT m.version, m.installed_on AS applied_at, m.checksum FROM leasehold.migration m WHERE m.success ORDER BY m.version
