-- uptime: the server's time, and how long it has been up. Also the cheapest way to see that it answers.
--
-- Guard:      none, it reads
-- Parameters: none
-- Zero rows:  cannot be
-- Index:      none
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms
