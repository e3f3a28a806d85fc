-- uptime: the server's time, and how long it has been up; and whether workers have left ends of runs for a reaper, so that
-- nobody has to ask for those. Also the cheapest way to see that the server answers.
--
-- Guard:      none, it reads
-- Parameters: none
-- Zero rows:  cannot be
-- Index:      none
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       EXISTS (SELECT FROM leasehold.deferred_settle) AS has_deferred
