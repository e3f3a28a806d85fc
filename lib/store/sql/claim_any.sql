-- claim_any: does the same as claim, also for jobs that claim skips: jobs with a fair key, a retry policy or parents. A worker
-- sends claim_any instead of claim while a queue has such jobs.
--
-- Guard:      the row is queued, in the queue of the hints, its kind has a handler in the worker, neither its queue nor its kind
--             is paused, it has never crashed a worker, and it has neither limit keys (claim_limited claims such jobs) nor a rule for
--             its unique key (claim_careful claims such jobs, and moves the key). The
--             statement waits for a row that another session has locked, because that session (another claim, or a cancel) soon
--             ends. If the wait takes longer than 50 ms, the whole statement fails with lock_not_available (55P03).
-- Parameters: $1 worker, $2 ids, each once and in order, $3 kinds, or NULL for every kind, $4 lease in ms,
--             $5 the queue of the hints. A job that was moved to another queue is not claimed.
-- Zero rows:  for an id that is not in the answer, claim_careful finds out whether the job can be claimed.
-- Index:      job_pkey; queue_paused; pause_pkey.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run. The
--             statement notes its changes itself.
-- Why wait:   to skip locked rows, each row must be locked first. That makes the statement a fifth slower and writes 53
--             more bytes of WAL for each job. The statement sets the lock timeout for itself only.
WITH claimed AS (
    UPDATE leasehold.job_noted j
    SET
        -- include begin_run: lease_end = (SELECT now() + $4::bigint * interval '1 millisecond')
    WHERE j.id = ANY ($2::uuid[]) AND j.crashes = 0 AND j.limit_keys IS NULL AND j.unique_rule IS NULL AND j.queue::text = $5::text
      AND
      -- include claimable: queue = $5::text
      AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
    RETURNING j.id, j.epoch, j.kind::text AS kind, j.payload::text AS payload, j.attempt, j.max_attempts, j.timeout_ms, j.line_at,
              -- include due_at: queue = $5::text
              AS due_at, j.started_at,
              -- include rare_words
              AS rare_words
), noted AS (
    INSERT INTO leasehold.count_change (queue, kind, state, jobs, from_state)
    SELECT $5::text, c.kind, 'running', count(*), 'queued' FROM claimed c GROUP BY c.kind
)
SELECT c.id, c.epoch, c.kind, c.payload, c.attempt, c.max_attempts, c.timeout_ms, c.line_at, c.due_at, c.started_at, c.rare_words
FROM claimed c
