-- start_run: what a claim makes of a queued job: a run, with the next epoch, one attempt more, and a lease.
--
-- Takes:      lease_ms
-- Guard:      that of the statement, whose worker is $1.
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = now(),
    lease_expires_at = now() + $lease_ms::bigint * interval '1 millisecond'
