-- claim_careful: queued → running, for hints that claim did not get, and for those that have waited for a lock to go.
--
-- Guard:      the row is queued, of a kind that the worker has a handler for, and of no paused queue. A row that
--             somebody else has locked is passed over: whoever has it decides. Of jobs that have crashed before, a
--             worker runs at most ten at once that began within the last second: one of them may be what killed theirs,
--             and would take all others along again. Those that are dead if they crash once more, one at a time; what
--             has run for 10 s holds up no other.
-- Parameters: $1 worker, $2 ids, each once and in order, $3 kinds or NULL for every kind, $4 lease in ms, $5 the
--             most jobs to claim.
-- Zero rows:  for an id that is not in the answer: it is not to be had (any more), or not now, which is normal.
-- Index:      job_pkey; queue_paused; job_in_danger, but only if there is a job that has crashed.
-- Why ctid:   the rows are locked, so they stay where they are; finding them by id again costs a sixth of the statement.
--             One that somebody changed since this statement began is at another place by then, and not claimed.
WITH found AS MATERIALIZED (
    SELECT j.at, j.id, j.crashed, j.in_danger
    FROM unnest($2::uuid[]) AS hint(id)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.id, j.crashes > 0 AS crashed, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
        FROM leasehold.job j
        WHERE j.id = hint.id AND
          -- include claimable
        FOR UPDATE OF j SKIP LOCKED
    ) j
    LIMIT $5::bigint
)
UPDATE leasehold.job j
-- include start_run: lease_ms = $4
WHERE j.ctid = ANY (ARRAY(
    SELECT f.at FROM found f
    WHERE
        -- include few_crashed
    ))
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
