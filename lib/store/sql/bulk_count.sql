-- bulk_count: how many jobs a filter chooses, by queue, kind and state.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue, $2 kind, $3 states, $4 until, $5 error pattern, $6 batch: see parts/chosen.sql.
-- Zero rows:  the filter chooses no job.
-- Index:      history_ended_badly for finished jobs. The live table is read once: about half a second for a million jobs.
--             Operators use the statement before a bulk change.
SELECT c.queue, c.kind, c.state, count(*) AS count
FROM (
    SELECT j.queue::text AS queue, j.kind::text AS kind, j.state::text AS state FROM leasehold.job j
    WHERE $3::text[] && ARRAY['blocked', 'scheduled', 'queued', 'running'] AND
      -- include chosen
    UNION ALL
    SELECT j.queue, j.kind, j.state::text FROM leasehold.history j
    WHERE $3::text[] && ARRAY['dead', 'cancelled'] AND j.state <> 'succeeded' AND
      -- include chosen
) c
GROUP BY c.queue, c.kind, c.state
ORDER BY c.queue, c.kind, c.state
