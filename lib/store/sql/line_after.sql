-- line_after: the ids of a queue's line that come after a given position, in order, and the position of the last one.
--
-- Guard:      none, it only reads; each id is a hint, and a claim may find its job taken.
-- Parameters: $1 queue, $2 kinds, or NULL for every kind; the position: $3 line_at, $4 id. No job needs to be at this
--             position; $5 limit.
-- Zero rows:  never. One row: an array, with one id more than the limit if the line continues; line_at of the last id
--             within the limit, NULL if there is none or if it has no finite time.
-- Index:      job_line_at, one range of at most `limit + 1` entries for each kind; job_pkey for the last one.
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
), line(ids) AS MATERIALIZED (
    SELECT ARRAY(
        SELECT front.id
        FROM kind k
        CROSS JOIN LATERAL (
            SELECT j.id, j.line_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name
              AND (j.line_at, j.id) > ($3::timestamptz, $4::uuid)
            ORDER BY j.line_at, j.id
            LIMIT $5::bigint + 1
        ) front
        WHERE k.name IS NOT NULL
        ORDER BY front.line_at, front.id
        LIMIT $5::bigint + 1)
)
SELECT l.ids, last.line_at
FROM line l
-- The last job is looked up by its id, so that only ids are sorted and returned.
LEFT JOIN LATERAL (
    SELECT CASE WHEN j.line_at BETWEEN '4713-01-01 BC' AND '200000-01-01' THEN j.line_at END AS line_at FROM leasehold.job j
    WHERE j.id = l.ids[least($5::bigint, cardinality(l.ids))::integer]
) last ON true
