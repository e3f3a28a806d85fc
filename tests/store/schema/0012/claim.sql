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
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = now(),
    lease_expires_at = now() + $4::bigint * interval '1 millisecond'
-- The state as text, or the planner may walk all of job_line to find one id.
WHERE j.id = ANY ($2::uuid[]) AND j.state::text = 'queued' AND j.crashes = 0
  AND ($3::text[] IS NULL OR j.kind::text = ANY ($3::text[]))
  AND j.queue::text <> ALL (ARRAY(SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL))
  AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
