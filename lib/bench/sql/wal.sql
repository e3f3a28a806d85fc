-- wal: bytes of write-ahead log since the beginning, of the whole server.
--
-- Guard:      none, it only reads.
SELECT (pg_current_wal_insert_lsn() - '0/0'::pg_lsn)::bigint
