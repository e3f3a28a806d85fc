-- dead_errors: the errors of dead jobs, in groups of the same kind and nearly the same text, the largest group first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 kind, $3 the earliest time of the death, each NULL for any; $4 the number of dead jobs to examine, the
--             newest by enqueue first; $5 the number of groups.
-- Answer:     the text of a group has `%` in place of numbers, hexadecimal numbers, UUIDs and line breaks. So the text is a
--             pattern for the filter of bulk changes: see parts/chosen.sql. The answer also says how many dead jobs the statement
--             has read.
-- Zero rows:  no job is dead.
-- Index:      history_ended_badly, backwards; it has no entries of jobs that succeeded.
WITH seen AS MATERIALIZED (
    SELECT h.id, h.kind, h.finished_at, left(coalesce(h.last_error, ''), 1000) AS error
    FROM leasehold.history h
    WHERE h.state <> 'succeeded' AND h.state = 'dead'
      AND ($1::text IS NULL OR h.queue = $1) AND ($2::text IS NULL OR h.kind = $2)
      AND ($3::timestamptz IS NULL OR h.finished_at >= $3)
    ORDER BY h.created_at DESC, h.id DESC
    LIMIT $4::bigint
), told AS (
    SELECT s.id, s.kind, s.finished_at,
           left(regexp_replace(s.error,
               '[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}|0x[0-9a-fA-F]+|\m[0-9a-fA-F]{8,}\M|[0-9]+|\s*[\n\r\t]\s*',
               '%', 'g'), 200) AS error
    FROM seen s
)
SELECT t.kind, t.error, count(*) AS count, min(t.finished_at) AS first_at, max(t.finished_at) AS last_at,
       (array_agg(t.id ORDER BY t.finished_at DESC, t.id DESC))[1] AS sample,
       (SELECT count(*) FROM seen) AS seen
FROM told t
GROUP BY t.kind, t.error
ORDER BY count(*) DESC, max(t.finished_at) DESC, t.kind, t.error
LIMIT $5::bigint
