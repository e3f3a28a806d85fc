-- line_after: the jobs of a queue's line that come after a given position, in order.
--
-- Guard:      none, it only reads; each id is a hint, and a claim may find its job taken. Jobs that wait for room of a limit key
--             are behind the line, at infinity. Jobs of a paused kind are left out: no hint of them belongs in the head.
-- Parameters: $1 queue, $2 kinds, or NULL for every kind; the position: $3 line_at, $4 id. No job needs to be at this
--             position; $5 limit.
-- Zero rows:  never. One row: the ids, one more than the limit if the line continues, and the line_at of each.
-- Index:      job_line_at, one range of at most `limit + 1` entries for each kind.
WITH RECURSIVE kind(name) AS (
    SELECT given.name FROM unnest($2::text[]) AS given(name)
    UNION
    -- No kinds given: the kinds in the line, one index probe for each.
    SELECT next.name FROM (
        (SELECT j.kind::text AS name FROM leasehold.job j
         WHERE $2::text[] IS NULL AND j.state = 'queued' AND j.queue = $1 ORDER BY j.kind LIMIT 1)
    ) next
    UNION
    SELECT (SELECT j.kind::text FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind > k.name ORDER BY j.kind LIMIT 1)
    FROM kind k
    WHERE $2::text[] IS NULL AND k.name IS NOT NULL
), line AS MATERIALIZED (
    SELECT front.id, front.line_at
    FROM kind k
    CROSS JOIN LATERAL (
        SELECT j.id, j.line_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name
          AND (j.line_at, j.id) > ($3::timestamptz, $4::uuid) AND j.line_at < 'infinity'
        ORDER BY j.line_at, j.id
        LIMIT $5::bigint + 1
    ) front
    WHERE k.name IS NOT NULL
      AND
      -- include kind_not_paused
    ORDER BY front.line_at, front.id
    LIMIT $5::bigint + 1
)
-- The arrays have one element for each job, in the same order.
SELECT coalesce(array_agg(l.id ORDER BY l.line_at, l.id), '{}') AS ids,
       coalesce(array_agg(l.line_at ORDER BY l.line_at, l.id), '{}') AS line_at
FROM line l
