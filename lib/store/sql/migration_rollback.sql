-- migration_rollback: ends the transaction of a migration that failed.
ROLLBACK
