-- claim_careful: queued → running, for hints that claim did not get, and for parked hints that waited for a lock to end.
--
-- Guard:      the row is queued, its kind has a handler in the worker, and its queue is not paused. A row that another
--             session has locked is skipped: that session decides about the job. Of jobs that have crashed before, a worker
--             runs at most ten that started within the last second: one of them may have killed the earlier worker, and
--             would crash all of them again. Jobs that one more crash would end run one at a time. A job that has run for
--             10 s does not block the others.
-- Parameters: $1 worker, $2 ids, each once and in order, $3 kinds, or NULL for every kind, $4 lease in ms, $5 the maximum
--             number of jobs.
-- Zero rows:  a job that is not in the answer cannot be claimed (any more), or not now. Both are normal.
-- Index:      job_pkey; queue_paused; job_in_danger, but only if there is a job that has crashed.
-- Why ctid:   locked rows stay where they are. To find them by id again would make the statement a sixth slower. A row that
--             another session has changed since the start of this statement has another ctid and is not claimed.
WITH found AS MATERIALIZED (
    SELECT j.at, j.id, j.crashed, j.in_danger
    FROM unnest($2::uuid[]) AS hint(id)
    CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.id, j.crashes > 0 AS crashed, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
        FROM leasehold.job j
        -- Compared as text. Otherwise the planner may scan all of job_line to find one id.
        WHERE j.id = hint.id AND j.state::text = 'queued'
          AND ($3::text[] IS NULL OR j.kind::text = ANY ($3::text[]))
          AND j.queue::text <> ALL (ARRAY(SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL))
        FOR UPDATE OF j SKIP LOCKED
    ) j
    LIMIT $5::bigint
)
UPDATE leasehold.job j
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = now(),
    lease_expires_at = now() + $4::bigint * interval '1 millisecond'
WHERE j.ctid = ANY (ARRAY(
    SELECT f.at FROM found f
    WHERE CASE
        WHEN f.in_danger THEN
            f.id = (SELECT d.id FROM found d WHERE d.in_danger ORDER BY d.id LIMIT 1)
            AND NOT EXISTS (
                SELECT FROM leasehold.job r
                WHERE r.worker = $1 AND r.crashes > 0 AND r.crashes + 1 >= r.max_crashes
                  AND r.started_at > now() - interval '10 seconds')
        WHEN f.crashed THEN
            f.id = ANY (ARRAY(
                SELECT c.id FROM found c WHERE c.crashed AND NOT c.in_danger
                ORDER BY c.id
                LIMIT greatest(0, 10 - (
                    SELECT count(*) FROM leasehold.job r
                    WHERE r.worker = $1 AND r.crashes > 0 AND r.started_at > now() - interval '1 second'))))
        ELSE true
    END))
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
