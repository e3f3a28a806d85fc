-- line_after: the ids of a queue's line from a given job of it on, in order.
--
-- Guard:      none, it only reads; each id is a hint that a claim may find taken. The job is queued, in this queue and of
--             one of the kinds.
-- Parameters: $1 queue, $2 kinds or NULL for every kind, $3 the job, $4 limit.
-- Zero rows:  never. One row, an array, whose first id is that of the job; it is empty, or begins with another id, if the
--             job is not in the line, or of none of the kinds.
-- Index:      job_pkey for the job; job_line, two ranges a kind: those of its priority from it on, at most `limit`
--             entries, and those of lower priorities, only as many as are still missing then.
WITH RECURSIVE given AS MATERIALIZED (
    -- As text, so that this is not answered by walking the line.
    SELECT j.priority, j.run_at, j.id FROM leasehold.job j
    WHERE j.id = $3::uuid AND j.queue = $1 AND j.state::text = 'queued'
), kind(name) AS (
    SELECT named.name FROM unnest($2::text[]) AS named(name)
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
), same_priority(ids) AS MATERIALIZED (
    SELECT ARRAY(
        SELECT front.id
        FROM given g
        CROSS JOIN kind k
        CROSS JOIN LATERAL (
            SELECT j.id, j.run_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name
              AND j.priority = g.priority AND (j.run_at, j.id) >= (g.run_at, g.id)
            ORDER BY j.run_at, j.id
            LIMIT $4::bigint
        ) front
        WHERE k.name IS NOT NULL
        ORDER BY front.run_at, front.id
        LIMIT $4::bigint)
)
SELECT s.ids || ARRAY(
    SELECT front.id
    FROM given g
    CROSS JOIN kind k
    CROSS JOIN LATERAL (
        SELECT j.id, j.priority, j.run_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = k.name AND j.priority < g.priority
        ORDER BY j.priority DESC, j.run_at, j.id
        LIMIT $4::bigint - (SELECT cardinality(ids) FROM same_priority)
    ) front
    WHERE k.name IS NOT NULL
    ORDER BY front.priority DESC, front.run_at, front.id
    LIMIT $4::bigint - (SELECT cardinality(ids) FROM same_priority))
FROM same_priority s
