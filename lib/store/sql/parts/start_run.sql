-- start_run: the changes that a claim makes to a queued job: it becomes a run, with the next epoch, one more attempt and a lease.
-- The unique key of a job with a rule moves to its second place.
--
-- Takes:      lease_ms; at = now()
-- Guard:      the guard of the statement. Its worker is $1.
-- Types:      both branches of each CASE are keys. Otherwise PostgreSQL takes the result for text, and checks the key again in each row.
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = $at,
    lease_expires_at = $at + $lease_ms::bigint * interval '1 millisecond',
    unique_key = CASE WHEN j.unique_rule IS NULL THEN j.unique_key ELSE NULL::leasehold.key END,
    begun_key = CASE WHEN j.unique_rule IS NULL THEN j.begun_key ELSE coalesce(j.begun_key, j.unique_key) END
