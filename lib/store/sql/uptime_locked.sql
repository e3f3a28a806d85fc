-- uptime_locked: the same as uptime, while somebody has locked one of the tables that uptime reads. It reads only the jobs: without them, nobody
-- can renew a lease, so PostgreSQL counts as unavailable then. Each other answer about work that may be there is yes, and the steps
-- themselves find out. So a lock on another table holds up only the steps that need this table.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  impossible.
-- Index:      job_by_limit, which is empty if no job has limit keys.
SELECT now() AS now, (extract(epoch FROM now() - pg_postmaster_start_time()) * 1000)::bigint AS uptime_ms,
       pg_current_snapshot()::text AS snapshot, NULL::bigint AS watched_ms_ago, true AS has_deferred, true AS has_ended_parents,
       EXISTS (SELECT FROM leasehold.job j WHERE j.limited_by IS NOT NULL AND j.state >= 'queued' AND j.state <= 'queued') AS has_limited,
       true AS has_limit_changes, true AS has_fair, true AS has_reorders, true AS has_batches, true AS has_undelivered,
       true AS has_count_changes,
       pg_is_in_recovery() AS is_standby, current_setting('transaction_read_only') = 'on' AS is_read_only
