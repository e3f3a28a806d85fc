-- claim: queued → running, for hints: by primary key, whatever the line looks like.
--
-- Guard:      the row is queued, of a kind that the worker has a handler for, and of no paused queue. A row that
--             somebody else has locked is passed over: whoever has it decides.
-- Parameters: $1 worker, $2 ids, $3 kinds or NULL for every kind, $4 lease in ms.
-- Zero rows:  for an id that is not in the answer: it is not to be had (any more), which is normal.
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT DISTINCT h.id FROM unnest($2::uuid[]) AS h(id) ORDER BY h.id) hint
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        -- As text, or the planner may walk all of job_line to find one id.
        WHERE j.id = hint.id AND j.state::text = 'queued'
          AND ($3::text[] IS NULL OR j.kind::text = ANY ($3::text[]))
          AND NOT EXISTS (SELECT FROM leasehold.queue q WHERE q.name = j.queue AND q.paused_at IS NOT NULL)
        FOR UPDATE OF j SKIP LOCKED
    ) j
)
UPDATE leasehold.job j
SET state = 'running', epoch = j.epoch + 1, attempt = j.attempt + 1, worker = $1, started_at = now(),
    lease_expires_at = now() + $4::bigint * interval '1 millisecond'
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt,
          j.max_attempts, j.crashes, j.timeout_ms
