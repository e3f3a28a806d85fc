-- claim_careful: queued → running, for hints that claim did not get, and for parked hints that waited for a lock to end.
--
-- Guard:      the row is queued, has no limit keys, is in the queue of the hints, its kind has a handler in the worker, and
--             neither its queue nor its kind is paused. A row that another session has locked is skipped: that session decides
--             about the job. Of the jobs that have crashed before, a worker runs at most ten that started within the last second:
--             one of these jobs may have killed the earlier worker, and would crash all of them again. Jobs that one more crash
--             would end run one at a time. A job that has run for 10 s does not block the others.
-- Parameters: $1 worker, $2 ids, each once, in the order of the line, $3 kinds, or NULL for every kind, $4 lease in ms, $5 the maximum
--             number of jobs, $6 the queue of the hints.
-- Zero rows:  a job that is not in the answer cannot be claimed now, or can never be claimed again. Both are normal.
-- Index:      job_pkey; queue_paused; pause_pkey; job_in_danger, but only if there is a job that has crashed.
-- Why ctid:   locked rows stay where they are. To find them by id again would make the statement a sixth slower. A row that
--             another session has changed since the start of this statement has another ctid and is not claimed.
WITH found AS MATERIALIZED (
    SELECT j.at, j.id, j.crashed, j.in_danger
    FROM unnest($2::uuid[]) AS hint(id)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.id, j.crashes > 0 AS crashed, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
        FROM leasehold.job j
        WHERE j.id = hint.id AND j.queue::text = $6::text AND j.limit_keys IS NULL AND
          -- include claimable: queue = $6::text
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
          j.max_attempts, j.crashes, j.timeout_ms, j.line_at,
          -- include due_at: queue = $6::text
          AS due_at, j.started_at,
          -- include rare_words
          AS rare_words
