-- limits: the limits, with how many jobs run and wait; or the limit of one key. Changes that have committed count already.
--
-- Guard:      none, it only reads.
-- Parameters: $1 a key or a pattern as it was set, or NULL for all limits.
-- Zero rows:  there is no limit at all, or no limit with this key or pattern.
-- Counts:     a pattern counts the runs of all its keys together. The waiting jobs are the queued jobs, up to 10,000: jobs
--             that wait for room, and jobs that may start but have not started. A job with several keys counts for the key
--             that it waits for.
-- Index:      key_limit_pkey, limit_change_pkey, limit_slot_pkey, job_by_limit, job_pkey. All slots of each key are read.
WITH change AS MATERIALIZED (
    SELECT DISTINCT ON (c.key) c.key, c.running, c.rate, c.rate_text, c.burst, c.asked_at
    FROM leasehold.limit_change c WHERE $1::text IS NULL OR c.key = $1::text
    ORDER BY c.key, c.since DESC
), wanted AS MATERIALIZED (
    SELECT l.key::text AS key, l.running, l.rate_text AS rate, l.burst, l.changed_at FROM leasehold.key_limit l
    WHERE ($1::text IS NULL OR l.key = $1::text) AND NOT EXISTS (SELECT FROM change c WHERE c.key = l.key)
    UNION ALL
    SELECT c.key::text, c.running, c.rate_text, c.burst, c.asked_at FROM change c
    WHERE c.running IS NOT NULL OR c.rate IS NOT NULL
)
SELECT l.key, l.running, l.rate, l.burst, l.changed_at,
       (SELECT count(*) FROM leasehold.limit_slot s
        WHERE (s.key = l.key OR (right(l.key, 1) = '*' AND starts_with(s.key, left(l.key, -1))))
          AND EXISTS (SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running')
       ) AS running_now,
       (SELECT count(*) FROM (
            SELECT FROM leasehold.job j
            WHERE j.limited_by IS NOT NULL AND j.state >= 'queued' AND j.state <= 'queued'
              AND (j.limited_by = l.key OR (right(l.key, 1) = '*' AND starts_with(j.limited_by, left(l.key, -1))))
            LIMIT 10000) w) AS waiting
FROM wanted l
ORDER BY l.key
