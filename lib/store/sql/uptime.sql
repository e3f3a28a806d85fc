-- uptime: the server's time, how long it has been up, and whether it takes writes. Also the cheapest way to see that it
-- answers.
--
-- Guard:      none, it reads
-- Parameters: none
-- Zero rows:  cannot be
-- Index:      none
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
