-- line: the first ids of some stretches of a queue's line, in order, and the place of the last of them.
--
-- Guard:      none, it only reads; each id is a hint that a claim may find taken.
-- Parameters: $1 queue; the stretches: $2 kinds, $3 priorities, $4 when each begins, or NULL if that is not known; $5 limit.
-- Zero rows:  never. One row: an array, which has one id more than the limit if the line goes on; priority and run_at of
--             the last one within the limit, NULL if there is none, or if it has no finite time; and when each stretch
--             begins by now, as survey says it.
-- Index:      job_line, for each stretch one probe and one range of at most `limit + 1` entries, besides those of rows that
--             died since it began as the parameters say; job_pkey for the last one.
WITH stretch AS MATERIALIZED (
    SELECT s.nth, s.kind, s.priority, first.run_at
    FROM unnest($2::text[], $3::smallint[], $4::timestamptz[]) WITH ORDINALITY AS s(kind, priority, begins, nth)
    LEFT JOIN LATERAL (
        SELECT j.run_at FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = s.kind AND j.priority = s.priority
          AND j.run_at >= coalesce(s.begins, '-infinity')
        ORDER BY j.run_at, j.id LIMIT 1
    ) first ON true
), line(ids) AS MATERIALIZED (
    SELECT ARRAY(
        SELECT front.id
        FROM stretch s
        CROSS JOIN LATERAL (
            SELECT j.id, j.priority, j.run_at FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = $1 AND j.kind = s.kind AND j.priority = s.priority
              AND j.run_at >= s.run_at
            ORDER BY j.run_at, j.id
            LIMIT $5::bigint + 1
        ) front
        ORDER BY front.priority DESC, front.run_at, front.id
        LIMIT $5::bigint + 1)
)
SELECT l.ids, last.priority, last.run_at, (
    SELECT coalesce(array_agg(CASE WHEN coalesce(s.run_at > '-infinity', true)
                                   THEN least(s.run_at, now() - interval '250 milliseconds') END ORDER BY s.nth), '{}')
    FROM stretch s
) AS begins
FROM line l
-- Looked up once more by its id, so that only ids are gathered and sent.
LEFT JOIN LATERAL (
    SELECT j.priority, CASE WHEN j.run_at BETWEEN '0001-01-01' AND '9999-12-31' THEN j.run_at END AS run_at FROM leasehold.job j
    WHERE j.id = l.ids[least($5::bigint, cardinality(l.ids))::integer]
) last ON true
