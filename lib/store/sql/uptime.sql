-- uptime: the server's clock, how long the server has been up, whether it takes writes, which transactions have ended so
-- far, whether workers have left results for a reaper, whether ended parents have children that were not told, whether a
-- line must move, whether jobs with limit keys are queued, whether a limit has changed, whether a queue has fair shares or its weights have
-- changed, whether a batch is sealed and not complete, whether a server has not said in time that an answer to an HTTP worker was
-- written, and whether numbers of jobs have changed since the newest fold. Also the cheapest check that the server answers.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  impossible.
-- Snapshot:   as long as this text is the same, no transaction that wrote anything has ended, so everything that was read
--             before is still true.
-- Watched:    how long ago a reaper recorded that the server can be reached and that leases may expire; NULL if no reaper
--             ever did.
-- Index:      job_by_limit, which is empty if no job has limit keys; job_parked and job_fair_window, which are empty if none has a fair key;
--             http_claim_undelivered, which has the answers of this moment; count_fold_pkey and count_change_xact, one probe each.
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       pg_current_snapshot()::text AS snapshot,
       (SELECT (extract(epoch FROM now() - max(w.kept_at)) * 1000)::bigint FROM leasehold.watch w) AS watched_ms_ago,
       EXISTS (SELECT FROM leasehold.deferred_settle) AS has_deferred,
       EXISTS (SELECT FROM leasehold.ended_parent) AS has_ended_parents,
       EXISTS (SELECT FROM leasehold.job j WHERE j.limited_by IS NOT NULL AND j.state >= 'queued' AND j.state <= 'queued') AS has_limited,
       EXISTS (SELECT FROM leasehold.limit_change) AS has_limit_changes,
       EXISTS (SELECT FROM leasehold.fair_weight_change)
           OR EXISTS (SELECT FROM leasehold.job j WHERE j.fair_at IS NOT NULL)
           OR EXISTS (SELECT FROM leasehold.job j
                      WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL
                        AND j.state >= 'queued' AND j.state <= 'queued') AS has_fair,
       EXISTS (SELECT FROM leasehold.reorder) AS has_reorders,
       EXISTS (SELECT FROM leasehold.batch b WHERE b.sealed_at IS NOT NULL AND b.completed_at IS NULL) AS has_batches,
       EXISTS (SELECT FROM leasehold.http_claim c WHERE c.deliver_by IS NOT NULL AND c.deliver_by < now()) AS has_undelivered,
       EXISTS (SELECT FROM leasehold.count_change c
               WHERE c.xact >= (SELECT pg_snapshot_xmax(f.snapshot) FROM leasehold.count_fold f ORDER BY f.fold DESC LIMIT 1)) AS has_count_changes,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
