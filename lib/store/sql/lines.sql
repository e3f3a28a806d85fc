-- lines: the queues that have jobs in their line, and the kinds in each.
--
-- Guard:      none, it only reads.
-- Zero rows:  every line is empty.
-- Index:      job_line, one probe for each queue and kind, however long the lines are.
WITH RECURSIVE pair(queue, kind) AS (
    (SELECT j.queue::text, j.kind::text FROM leasehold.job j
     WHERE j.state = 'queued' ORDER BY j.queue, j.kind LIMIT 1)
    UNION ALL
    SELECT next.queue, next.kind
    FROM pair p
    CROSS JOIN LATERAL (
        SELECT j.queue::text AS queue, j.kind::text AS kind FROM leasehold.job j
        WHERE j.state = 'queued' AND (j.queue, j.kind) > (p.queue, p.kind)
        ORDER BY j.queue, j.kind LIMIT 1
    ) next
)
SELECT p.queue, array_agg(p.kind ORDER BY p.kind) AS kinds, bool_or(q.paused_at IS NOT NULL) AS paused
FROM pair p
LEFT JOIN leasehold.queue q ON q.name = p.queue
GROUP BY p.queue
ORDER BY p.queue
