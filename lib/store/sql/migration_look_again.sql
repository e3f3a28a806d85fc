-- migration_look_again: makes PostgreSQL look anew at the sessions. Within a transaction it answers from what it saw first.
SELECT pg_stat_clear_snapshot()
