-- claim_limited_line: queued → running, for jobs that have limit keys, from the front of a queue's line, without hints.
--
-- Guard:      the guard of the function claim_limited: without Redis the same function decides.
-- Parameters: $1 worker, $2 queue, $3 kinds, or NULL for every kind, $4 limit, $5 lease in ms, $6 how soon a token must come, in ms.
-- Zero rows:  no such job can be claimed.
-- Index:      job_with_limits, one short range for each kind; then the indexes of the function.
-- Order:      the order of the line. The function tries twice the limit of each kind, because a key may have become full. The
--             statement skips jobs whose token comes later, up to 500 of each kind, so that they do not block the jobs of other
--             keys.
WITH RECURSIVE kind(name) AS (
    SELECT given.name FROM unnest($3::text[]) AS given(name)
    UNION
    -- No kinds given: the kinds of such jobs, one index probe for each.
    SELECT next.name FROM (
        (SELECT j.kind::text AS name FROM leasehold.job j
         WHERE $3::text[] IS NULL AND j.limit_keys IS NOT NULL AND j.limited_at IS NULL
           AND j.state >= 'queued' AND j.state <= 'queued' AND j.queue = $2
         ORDER BY j.kind LIMIT 1)
    ) next
    UNION
    SELECT (SELECT j.kind::text FROM leasehold.job j
            WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
              AND j.queue = $2 AND j.kind > k.name
            ORDER BY j.kind LIMIT 1)
    FROM kind k
    WHERE $3::text[] IS NULL AND k.name IS NOT NULL
), front AS MATERIALIZED (
    SELECT f.id, f.line_at
    FROM kind k
    CROSS JOIN LATERAL (
        SELECT c.id, c.line_at FROM (
            SELECT j.id, j.line_at, j.limit_keys FROM leasehold.job j
            WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
              AND j.queue = $2 AND j.kind = k.name AND j.line_at < 'infinity'
            ORDER BY j.line_at, j.id LIMIT 500
        ) c
        WHERE NOT EXISTS (
            SELECT FROM unnest(c.limit_keys) l(key)
            CROSS JOIN LATERAL (
                SELECT b.full_at FROM leasehold.limit_bucket b
                WHERE b.key = l.key AND b.full_at > clock_timestamp() + $6::bigint * interval '1 millisecond' OFFSET 0
            ) b
            CROSS JOIN LATERAL leasehold.limit_of(l.key) o
            WHERE b.full_at > clock_timestamp() + ((o.burst - 1) / o.rate * 1000 + $6::bigint) * interval '1 millisecond')
        ORDER BY c.line_at, c.id LIMIT 2 * $4::bigint
    ) f
    WHERE k.name IS NOT NULL
      AND
      -- include kind_not_paused: queue = $2
    ORDER BY f.line_at, f.id LIMIT 2 * $4::bigint
), hints AS (
    SELECT array_agg(f.id ORDER BY f.line_at, f.id) AS ids FROM front f
)
SELECT c.id, c.epoch, c.queue, c.kind, c.payload, c.attempt, c.max_attempts, c.crashes, c.timeout_ms, c.line_at, c.limit_keys,
       NULL::timestamptz AS due_at, NULL::timestamptz AS started_at, c.begins_in_us,
       -- include rare_words_of_limited
       AS rare_words
FROM hints h
CROSS JOIN LATERAL leasehold.claim_limited($1::uuid, h.ids, $3::text[], $5::bigint, $4::bigint, $2::text, $6::bigint) c
WHERE h.ids IS NOT NULL
ORDER BY c.line_at, c.id
