-- takes_writes: whether a server takes writes: it is no standby and not read-only.
--
-- Guard:      none, it only reads.
SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'
