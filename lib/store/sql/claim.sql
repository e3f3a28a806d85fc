-- claim: queued → running, for hints: by primary key, whatever the line looks like.
--
-- Guard:      the row is queued, of a kind that the worker has a handler for, of no paused queue, and has never crashed a
--             worker. One that somebody else has locked is waited for, since whoever has it will be done at once: another
--             claim, or a cancel. If that takes longer, all of it fails with lock_not_available (55P03).
-- Parameters: $1 worker, $2 ids, each once and in order, $3 kinds or NULL for every kind, $4 lease in ms.
-- Zero rows:  for an id that is not in the answer, claim_careful says whether it is to be had.
-- Index:      job_pkey; queue_paused.
-- Why wait:   to lock each row before, so that locked ones can be passed over, costs a fifth of the statement, and 53 bytes
--             of WAL for each job. The time limit is set within the statement, and ends with it.
UPDATE leasehold.job j
-- include start_run: lease_ms = $4
WHERE j.id = ANY ($2::uuid[]) AND j.crashes = 0
  AND
  -- include claimable
  AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
