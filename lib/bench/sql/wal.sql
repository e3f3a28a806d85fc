-- wal: the bytes of write-ahead log of the whole server since it was created.
--
-- Guard:      none, it only reads.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
