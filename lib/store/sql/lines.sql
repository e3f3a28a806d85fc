-- lines: the first jobs of some stretches in the lines of some queues, in order.
--
-- Guard:      none, it only reads; each id is a hint, and a claim may find its job taken. Jobs that wait for room of a limit key
--             are behind the line, at infinity. Jobs of a paused kind are left out: no hint of them belongs in the head.
-- Parameters: $1 queues, $2 the limit for each queue; the stretches: $3 the index of the queue in $1, from 1, $4 kinds, $5
--             scan starts, or NULL if not known.
-- Zero rows:  never. One row for each queue, in order: the ids, one more than the limit if the line continues; the line_at
--             of each; and the current scan start of each stretch, as in survey.
-- Index:      job_line_at, for each stretch one probe and one range of at most `limit + 1` entries, plus entries of rows that
--             died after the given scan start.
WITH asked AS MATERIALIZED (
    SELECT a.nth, a.queue, a.bound FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY AS a(queue, bound, nth)
), stretch AS MATERIALIZED (
    SELECT s.nth, s.of, s.kind, first.line_at
    FROM unnest($3::bigint[], $4::text[], $5::timestamptz[])
        WITH ORDINALITY AS s(of, kind, begins, nth)
    LEFT JOIN LATERAL (
        SELECT j.line_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = ($1::text[])[s.of] AND j.kind = s.kind
          AND j.line_at >= coalesce(s.begins, '-infinity')
        ORDER BY j.line_at, j.id LIMIT 1
    ) first ON true
), line AS MATERIALIZED (
    -- The arrays have one element for each job, in the same order.
    SELECT a.nth, array_agg(f.id ORDER BY f.line_at, f.id) AS ids, array_agg(f.line_at ORDER BY f.line_at, f.id) AS line_at
    FROM asked a
    LEFT JOIN LATERAL (
        SELECT front.id, front.line_at
        FROM stretch s
        CROSS JOIN LATERAL (
            SELECT j.id, j.line_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = a.queue AND j.kind = s.kind
              AND j.line_at >= s.line_at AND j.line_at < 'infinity'
            ORDER BY j.line_at, j.id
            LIMIT a.bound + 1
        ) front
        WHERE s.of = a.nth
          AND
          -- include kind_not_paused: queue = a.queue; kind = s.kind
        ORDER BY front.line_at, front.id
        LIMIT a.bound + 1
    ) f ON true
    GROUP BY a.nth
)
SELECT array_remove(l.ids, NULL) AS ids, array_remove(l.line_at, NULL) AS line_at, (
    SELECT coalesce(array_agg(CASE WHEN coalesce(s.line_at > '-infinity', true)
                                   THEN least(s.line_at, now() - interval '250 milliseconds') END ORDER BY s.nth), '{}')
    FROM stretch s WHERE s.of = l.nth
) AS begins
FROM line l
ORDER BY l.nth
