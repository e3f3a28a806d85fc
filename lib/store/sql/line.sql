-- line: the first ids of a queue's line, in order.
--
-- Guard:      none, it only reads; each id is a hint that a claim may find taken.
-- Parameters: $1 queue, $2 kinds or NULL for every kind, $3 limit.
-- Zero rows:  the line is empty.
-- Index:      job_line, one range of at most `limit` entries a kind.
WITH RECURSIVE kind(name) AS (
    SELECT given.name FROM unnest($2::text[]) AS given(name)
    UNION
    -- No kinds given: those in the line, one index probe each.
    SELECT next.name FROM (
        (SELECT j.kind::text AS name FROM leasehold.job j
         WHERE $2::text[] IS NULL AND j.state = 'queued' AND j.queue = $1 ORDER BY j.kind LIMIT 1)
    ) next
    UNION
    SELECT (SELECT j.kind::text FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind > k.name ORDER BY j.kind LIMIT 1)
    FROM kind k
    WHERE $2::text[] IS NULL AND k.name IS NOT NULL
)
SELECT front.id
FROM kind k
CROSS JOIN LATERAL (
    SELECT j.id, j.priority, j.run_at FROM leasehold.job j
    WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name
    ORDER BY j.priority DESC, j.run_at, j.id
    LIMIT $3::bigint
) front
WHERE k.name IS NOT NULL
ORDER BY front.priority DESC, front.run_at, front.id
LIMIT $3::bigint
