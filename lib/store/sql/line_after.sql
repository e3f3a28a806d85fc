-- line_after: the ids of a queue's line that come after a given position, in order, and the position of the last one.
--
-- Guard:      none, it only reads; each id is a hint, and a claim may find its job taken.
-- Parameters: $1 queue, $2 kinds, or NULL for every kind; the position: $3 priority, $4 run_at, $5 id. No job needs to be
--             at this position; $6 limit.
-- Zero rows:  never. One row: an array, with one id more than the limit if the line continues; priority and run_at of the
--             last id within the limit, NULL if there is none or if it has no finite time.
-- Index:      job_line, two ranges for each kind: jobs of the same priority after the position, at most `limit + 1`
--             entries, and jobs of lower priorities, only as many as are still missing; job_pkey for the last one.
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
), same_priority(ids) AS MATERIALIZED (
    SELECT ARRAY(
        SELECT front.id
        FROM kind k
        CROSS JOIN LATERAL (
            SELECT j.id, j.run_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name
              AND j.priority = $3::smallint AND (j.run_at, j.id) > ($4::timestamptz, $5::uuid)
            ORDER BY j.run_at, j.id
            LIMIT $6::bigint + 1
        ) front
        WHERE k.name IS NOT NULL
        ORDER BY front.run_at, front.id
        LIMIT $6::bigint + 1)
), line(ids) AS MATERIALIZED (
    SELECT s.ids || ARRAY(
        SELECT front.id
        FROM kind k
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.run_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name AND j.priority < $3::smallint
            ORDER BY j.priority DESC, j.run_at, j.id
            LIMIT $6::bigint + 1 - (SELECT cardinality(ids) FROM same_priority)
        ) front
        WHERE k.name IS NOT NULL
        ORDER BY front.priority DESC, front.run_at, front.id
        LIMIT $6::bigint + 1 - (SELECT cardinality(ids) FROM same_priority))
    FROM same_priority s
)
SELECT l.ids, last.priority, last.run_at
FROM line l
-- The last job is looked up by its id, so that only ids are sorted and returned.
LEFT JOIN LATERAL (
    SELECT j.priority, CASE WHEN j.run_at BETWEEN '0001-01-01' AND '9999-12-31' THEN j.run_at END AS run_at FROM leasehold.job j
    WHERE j.id = l.ids[least($6::bigint, cardinality(l.ids))::integer]
) last ON true
