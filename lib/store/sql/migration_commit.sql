-- migration_commit: ends the transaction of a migration.
COMMIT
