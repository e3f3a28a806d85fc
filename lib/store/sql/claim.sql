-- claim: queued → running, for hints: by primary key, whatever the line looks like.
--
-- Guard:      the row is queued, of a kind that the worker has a handler for, and of no paused queue. A row that
--             somebody else has locked is passed over: whoever has it decides. Of the jobs that are dead if they
--             crash once more, one at a time: one of them may be what killed the workers, and the others would die
--             with it, although they only ran beside it. One that has run for 10 s holds up no other.
-- Parameters: $1 worker, $2 ids, $3 kinds or NULL for every kind, $4 lease in ms.
-- Zero rows:  for an id that is not in the answer: it is not to be had (any more), which is normal.
-- Index:      job_pkey; job_in_danger, but only if there is such a job.
WITH found AS MATERIALIZED (
    SELECT j.id, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
    FROM (SELECT DISTINCT h.id FROM unnest($2::uuid[]) AS h(id) ORDER BY h.id) hint
    CROSS JOIN LATERAL (
        SELECT j.id, j.crashes, j.max_crashes FROM leasehold.job j
        -- As text, or the planner may walk all of job_line to find one id.
        WHERE j.id = hint.id AND j.state::text = 'queued'
          AND ($3::text[] IS NULL OR j.kind::text = ANY ($3::text[]))
          AND NOT EXISTS (SELECT FROM leasehold.queue q WHERE q.name = j.queue AND q.paused_at IS NOT NULL)
        FOR UPDATE OF j SKIP LOCKED
    ) j
), target AS MATERIALIZED (
    SELECT f.id FROM found f
    WHERE CASE WHEN f.in_danger
               THEN f.id = (SELECT d.id FROM found d WHERE d.in_danger ORDER BY d.id LIMIT 1)
                    AND NOT EXISTS (
                        SELECT FROM leasehold.job r
                        WHERE r.worker = $1 AND r.crashes > 0 AND r.crashes + 1 >= r.max_crashes
                          AND r.started_at > now() - interval '10 seconds')
               ELSE true END
)
UPDATE leasehold.job j
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = now(),
    lease_expires_at = now() + $4::bigint * interval '1 millisecond'
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
