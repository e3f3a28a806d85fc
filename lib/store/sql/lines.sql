-- lines: the first ids of some stretches in the lines of some queues, in order, and the position of the last id of each
-- queue.
--
-- Guard:      none, it only reads; each id is a hint, and a claim may find its job taken.
-- Parameters: $1 queues, $2 the limit for each queue; the stretches: $3 the index of the queue in $1, from 1, $4 kinds, $5
--             scan starts, or NULL if not known.
-- Zero rows:  never. One row for each queue, in order: an array, with one id more than the limit if the line continues;
--             line_at of the last id within the limit, NULL if there is none or if it has no finite time; and
--             the current scan start of each stretch, as in survey.
-- Index:      job_line_at, for each stretch one probe and one range of at most `limit + 1` entries, plus entries of rows that
--             died after the given scan start; job_pkey for the last one.
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
    SELECT a.nth, a.bound, ARRAY(
        SELECT front.id
        FROM stretch s
        CROSS JOIN LATERAL (
            SELECT j.id, j.line_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = a.queue AND j.kind = s.kind
              AND j.line_at >= s.line_at
            ORDER BY j.line_at, j.id
            LIMIT a.bound + 1
        ) front
        WHERE s.of = a.nth
        ORDER BY front.line_at, front.id
        LIMIT a.bound + 1) AS ids
    FROM asked a
)
SELECT l.ids, last.line_at, (
    SELECT coalesce(array_agg(CASE WHEN coalesce(s.line_at > '-infinity', true)
                                   THEN least(s.line_at, now() - interval '250 milliseconds') END ORDER BY s.nth), '{}')
    FROM stretch s WHERE s.of = l.nth
) AS begins
FROM line l
-- The last job is looked up by its id, so that only ids are sorted and returned.
LEFT JOIN LATERAL (
    SELECT CASE WHEN j.line_at BETWEEN '4713-01-01 BC' AND '200000-01-01' THEN j.line_at END AS line_at FROM leasehold.job j
    WHERE j.id = l.ids[least(l.bound, cardinality(l.ids))::integer]
) last ON true
ORDER BY l.nth
