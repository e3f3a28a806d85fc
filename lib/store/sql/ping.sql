-- ping: whether the server answers, and whether it takes writes.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  never.
-- Index:      none.
SELECT pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
