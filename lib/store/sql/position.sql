-- position: the number of jobs before a job in its line, counted up to a limit.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id, $2 limit.
-- Zero rows:  the job is not in the line.
-- Index:      job_pkey; job_line_at, one short range for each kind of the queue.
WITH RECURSIVE me AS MATERIALIZED (
    SELECT j.id, j.queue, coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at FROM leasehold.job j
    WHERE j.id = $1 AND j.state::text = 'queued'
), kind(name) AS (
    -- The kinds in the line, one index probe for each.
    (SELECT j.kind::text FROM leasehold.job j
     WHERE j.state = 'queued' AND j.queue = (SELECT m.queue FROM me m) ORDER BY j.kind LIMIT 1)
    UNION ALL
    SELECT (SELECT j.kind::text FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = (SELECT m.queue FROM me m) AND j.kind > k.name ORDER BY j.kind LIMIT 1)
    FROM kind k WHERE k.name IS NOT NULL
)
SELECT (
    SELECT count(*) FROM (
        SELECT 1 FROM kind k CROSS JOIN LATERAL (
            SELECT 1 FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = m.queue AND j.kind = k.name AND (j.line_at, j.id) < (m.line_at, m.id)
        ) before
        WHERE k.name IS NOT NULL
        LIMIT $2::bigint
    ) counted
) AS position
FROM me m
