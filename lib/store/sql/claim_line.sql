-- claim_line: queued → running, from the front of a queue's line, without hints.
--
-- Guard:      the row is queued, it has no limit keys (see claim_limited_line), and neither the queue nor its kind is
--             paused. A row that another session has locked is skipped, so any number of workers may claim at the same time, and
--             no worker waits. Jobs that have crashed before are claimed a few
--             at a time, as in claim_careful.
-- Parameters: $1 worker, $2 queue, $3 kinds, or NULL for every kind, $4 limit, $5 lease in ms, $6 whether jobs that have
--             crashed before may be claimed too.
-- Zero rows:  no job can be claimed.
-- Index:      job_line_at, one short range for each kind; pause_pkey; job_in_danger, but only if there is a job that has crashed. Rows
--             that are found are locked, and found again by ctid.
-- Order:      the order of the line, as far as this statement could lock it; the answer has this order too. For several kinds,
--             the front of each kind is locked. Rows that are not claimed are unlocked when the statement ends.
WITH RECURSIVE kind(name) AS (
    SELECT given.name FROM unnest($3::text[]) AS given(name)
    UNION
    -- No kinds given: the kinds in the line, one index probe for each.
    SELECT next.name FROM (
        (SELECT j.kind::text AS name FROM leasehold.job j
         WHERE $3::text[] IS NULL AND j.state = 'queued' AND j.queue = $2 ORDER BY j.kind LIMIT 1)
    ) next
    UNION
    SELECT (SELECT j.kind::text FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $2 AND j.kind > k.name ORDER BY j.kind LIMIT 1)
    FROM kind k
    WHERE $3::text[] IS NULL AND k.name IS NOT NULL
), found AS MATERIALIZED (
    SELECT front.at, front.id, front.crashes > 0 AS crashed,
           front.crashes > 0 AND front.crashes + 1 >= front.max_crashes AS in_danger
    FROM kind k
    CROSS JOIN LATERAL (
        SELECT j.ctid AS at, j.id, j.line_at, j.crashes, j.max_crashes FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = $2 AND j.kind = k.name AND j.line_at < 'infinity' AND j.limit_keys IS NULL
          -- The only jobs of a paused fair key in the line are jobs that a worker has returned.
          AND (j.fair_key IS NULL
               OR j.fair_key <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $2 AND p.what = 'fair_key')))
          AND
          -- include may_begin
          AND CASE
              WHEN j.crashes > 0 AND NOT $6 THEN false
              WHEN j.crashes > 0 AND j.crashes + 1 >= j.max_crashes THEN
                  -- include danger_room
              WHEN j.crashes > 0 THEN 0 <
                  -- include crashed_room
              ELSE true
          END
        ORDER BY j.line_at, j.id
        LIMIT $4::bigint
        FOR UPDATE SKIP LOCKED
    ) front
    WHERE k.name IS NOT NULL
      AND NOT EXISTS (SELECT FROM leasehold.queue q WHERE q.name = $2 AND q.paused_at IS NOT NULL)
      AND
      -- include kind_not_paused: queue = $2
    ORDER BY front.line_at, front.id
    LIMIT $4::bigint
), claimed AS (
    UPDATE leasehold.job j
    -- include start_run: lease_ms = $5; at = statement_timestamp()
    WHERE j.ctid = ANY (ARRAY(
        SELECT f.at FROM found f
        WHERE
            -- include few_crashed
        ))
    RETURNING j.id, j.epoch, j.queue, j.kind, j.payload, j.attempt, j.max_attempts, j.crashes, j.timeout_ms, j.line_at,
              -- include due_at: queue = $2
              AS due_at, j.started_at,
              -- include rare_words
              AS rare_words
)
SELECT c.id, c.epoch, c.queue::text AS queue, c.kind::text AS kind, c.payload::text AS payload, c.attempt,
       c.max_attempts, c.crashes, c.timeout_ms, c.line_at, c.due_at, c.started_at, c.rare_words
FROM claimed c
ORDER BY c.line_at, c.id
