-- migration_look_again: makes PostgreSQL read the list of sessions again. Within a transaction it otherwise returns the
-- first result.
SELECT pg_stat_clear_snapshot()
