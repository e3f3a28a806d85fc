-- migration_note: records that a migration is applied.
--
-- Parameters: $1 version, $2 description, $3 checksum, $4 duration in ns.
INSERT INTO leasehold.migration (version, description, success, checksum, execution_time) VALUES ($1, $2, true, $3, $4)
