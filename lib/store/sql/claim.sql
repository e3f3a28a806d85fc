-- claim: queued → running, for hints of plain jobs. It finds rows by primary key, so its cost does not depend on the length of
-- the line.
--
-- Guard:      the row is queued, in the queue of the hints, its kind has a handler in the worker, neither its queue nor its kind
--             is paused, it has not expired, it has never crashed a worker, and it has no rule that needs more than this: limit keys, a
--             rule for its unique key, a fair key, a retry policy, parents. The statement waits for a row that another session has
--             locked, because that session (another claim, or a cancel) soon ends. If the wait takes longer than 50 ms, the whole
--             statement fails with lock_not_available (55P03).
-- Parameters: $1 worker, $2 ids, each once and in order, $3 kinds, or NULL for every kind, $4 lease in ms,
--             $5 the queue of the hints. A job that was moved to another queue is not claimed.
-- Zero rows:  for an id that is not in the answer, claim_careful finds out whether the job can be claimed.
-- Index:      job_pkey; queue_pkey and pause_pkey, one probe each.
-- Counts:     the statement names job_noted, the parent table of leasehold.job, so the triggers that note changes do not run. The
--             statement notes its changes itself.
-- Why wait:   to skip locked rows, each row must be locked first. That makes the statement a fifth slower and writes 53
--             more bytes of WAL for each job. The statement sets the lock timeout for itself only.
-- Why plain:  PostgreSQL prepares each table, index and expression of a statement in every run, even if no row needs it: 40 µs
--             for a subquery of one table. A claim of one job by claim_any takes 1.25 times as long.
WITH queue_now AS MATERIALIZED (
    SELECT q.paused_at IS NOT NULL AS is_paused, greatest(q.resumed_at, now() - interval '1000 days') AS resumed_at
    FROM leasehold.queue q WHERE q.name = $5::text
), claimed AS (
    UPDATE leasehold.job_noted j
    SET
        -- include begin_run: lease_end = (SELECT now() + $4::bigint * interval '1 millisecond')
    WHERE j.id = ANY ($2::uuid[]) AND j.crashes = 0 AND j.queue::text = $5::text
      AND num_nonnulls(j.limit_keys, j.unique_rule, j.fair_key, j.retry, j.retry_until, j.unmet) = 0
      AND (j.expires_at IS NULL OR j.expires_at > now())
      -- As text: see claimable.
      AND j.state::text = 'queued'
      AND ($3::text[] IS NULL OR j.kind::text = ANY ($3::text[]))
      AND j.kind::text <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $5::text AND p.what = 'kind'))
      AND (SELECT n.is_paused FROM queue_now n) IS NOT TRUE
      AND (SELECT set_config('lock_timeout', '50ms', true)) IS NOT NULL
    RETURNING j.id, j.epoch, j.kind::text AS kind, j.payload::text AS payload, j.attempt, j.max_attempts, j.timeout_ms, j.line_at,
              -- include due_at: resumed_at = (SELECT n.resumed_at FROM queue_now n)
              AS due_at, j.started_at
), noted AS (
    INSERT INTO leasehold.count_change (queue, kind, state, jobs, from_state)
    SELECT $5::text, c.kind, 'running', count(*), 'queued' FROM claimed c GROUP BY c.kind
)
SELECT c.id, c.epoch, c.kind, c.payload, c.attempt, c.max_attempts, c.timeout_ms, c.line_at, c.due_at, c.started_at, NULL::text AS rare_words
FROM claimed c
