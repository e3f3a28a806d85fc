-- uptime: the server's time, how long it has been up, whether it takes writes, which transactions have ended so far, and
-- whether workers have left ends of runs for a reaper. Also the cheapest way to see that it answers.
--
-- Guard:      none, it reads
-- Parameters: none
-- Zero rows:  cannot be
-- Snapshot:   as long as it stays the same, no transaction that wrote anything has ended: all that was read before is so.
-- Watched:    how long ago some reaper said that it can be reached and that leases may expire; NULL if none ever did.
-- Index:      none
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       pg_current_snapshot()::text AS snapshot,
       (SELECT (extract(epoch FROM now() - max(w.kept_at)) * 1000)::bigint FROM leasehold.watch w) AS watched_ms_ago,
       EXISTS (SELECT FROM leasehold.deferred_settle) AS has_deferred,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
