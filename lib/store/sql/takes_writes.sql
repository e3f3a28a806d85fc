-- takes_writes: whether a server is one for writes: no standby, and not set to be read only.
--
-- Guard:      none, it only reads.
SELECT NOT pg_is_in_recovery() AND current_setting('default_transaction_read_only') = 'off'
