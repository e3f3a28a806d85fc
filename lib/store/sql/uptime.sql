-- uptime: the server's clock, how long the server has been up, whether it takes writes, which transactions have ended so
-- far, whether jobs with limit keys are queued, whether a queue has fair shares or its weights have changed, and which other work
-- a reaper has (leasehold.reaper_work). It is also the cheapest check that the server answers.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  impossible.
-- Snapshot:   while this text stays the same, no transaction that wrote anything has ended. So everything that was read before is
--             still true.
-- Watched:    how long ago a reaper recorded that the server can be reached and that leases may expire; NULL if no reaper
--             ever did.
-- Index:      job_by_limit, which is empty if no job has limit keys; job_parked and job_fair_window, which are empty if no job
--             has a fair key.
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       pg_current_snapshot()::text AS snapshot,
       EXISTS (SELECT FROM leasehold.job j WHERE j.limited_by IS NOT NULL AND j.state >= 'queued' AND j.state <= 'queued') AS has_limited,
       work.has_fair_weight_changes
           OR EXISTS (SELECT FROM leasehold.job j WHERE j.fair_at IS NOT NULL)
           OR EXISTS (SELECT FROM leasehold.job j
                      WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL
                        AND j.state >= 'queued' AND j.state <= 'queued') AS has_fair,
       work.watched_ms_ago, work.has_deferred, work.has_ended_parents, work.has_limit_changes, work.has_reorders, work.has_batches,
       work.has_undelivered, work.has_count_changes,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
FROM leasehold.reaper_work() work
