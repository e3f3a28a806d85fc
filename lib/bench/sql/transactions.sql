-- transactions: the number of transactions in this database so far, and of other connections to it.
--
-- Guard:      none, it only reads.
SELECT (d.xact_commit + d.xact_rollback)::bigint,
       (SELECT count(*) FROM pg_stat_activity a
        WHERE a.datname = d.datname AND a.backend_type = 'client backend' AND a.pid <> pg_backend_pid())
FROM pg_stat_database d
WHERE d.datname = current_database()
