-- survey_slices: the scan start of each stretch in some slices of the line, as in survey.
--
-- Guard:      none, it only reads.
-- Parameters: the slices, by name of queue: $1 the name before the slice, $2 the last name of the slice, or NULL for all
--             names that follow.
-- Zero rows:  no job waits in these slices.
-- Order:      by slice, and within a slice by queue and kind, in the database's order.
-- Index:      job_line_at, one probe for each slice and each stretch.
WITH RECURSIVE slice(nth, after, until) AS MATERIALIZED (
    -- No name is longer than 128 characters, and no character of a name sorts after z.
    SELECT s.nth, s.after, coalesce(s.until, repeat('z', 129))
    FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS s(after, until, nth)
), stretch(nth, until, queue, kind, line_at) AS (
    SELECT s.nth, s.until, first.queue, first.kind, first.line_at
    FROM slice s
    CROSS JOIN LATERAL (
        SELECT j.queue::text AS queue, j.kind::text AS kind, j.line_at
        FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue > s.after AND j.queue <= s.until
        ORDER BY j.queue, j.kind, j.line_at LIMIT 1
    ) first
    UNION ALL
    SELECT s.nth, s.until, next.queue, next.kind, next.line_at
    FROM stretch s
    CROSS JOIN LATERAL (
        (SELECT j.queue::text, j.kind::text, j.line_at FROM leasehold.job j
         WHERE j.state = 'queued' AND (j.queue, j.kind) > (s.queue, s.kind) AND j.queue <= s.until
         ORDER BY j.queue, j.kind, j.line_at LIMIT 1)
    ) next
)
SELECT s.nth, s.queue, s.kind, q.paused_at IS NOT NULL AS paused,
       CASE WHEN s.line_at > '-infinity' THEN least(s.line_at, now() - interval '250 milliseconds') END AS begins
FROM stretch s
LEFT JOIN leasehold.queue q ON q.name = s.queue
ORDER BY s.nth, s.queue, s.kind
