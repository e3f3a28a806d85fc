-- begin_run: the changes that a claim makes to a queued job: it becomes a run, with the next epoch, one more attempt and a lease.
--
-- Takes:      lease_end; at = now()
-- After:      SET.
-- Guard:      the guard of the statement. Its worker is $1.
state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = $at, lease_expires_at = $lease_end
