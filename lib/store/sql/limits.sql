-- limits: the limits, with how many jobs run and wait; or the limit of one key.
--
-- Guard:      none, it only reads.
-- Parameters: $1 a key or a pattern as it was set, or NULL for all limits.
-- Zero rows:  there is no limit, or not this one.
-- Counts:     of a pattern, the runs of all its keys together. Waiting are the jobs that wait for room, up to 10,000.
-- Index:      key_limit_pkey, limit_slot_pkey, job_limited, job_pkey. Of each key, all slots are read.
SELECT l.key::text AS key, l.running, l.rate_text AS rate, l.burst, l.changed_at,
       (SELECT count(*) FROM leasehold.limit_slot s
        WHERE (s.key = l.key::text
               OR (right(l.key::text, 1) = '*' AND starts_with(s.key, left(l.key::text, -1))))
          AND EXISTS (SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running')
       ) AS running_now,
       (SELECT count(*) FROM (
            SELECT FROM leasehold.job j
            WHERE j.limited_by IS NOT NULL AND j.limited_at IS NOT NULL AND j.state = 'queued'
              AND (j.limited_by = l.key::text
                   OR (right(l.key::text, 1) = '*' AND starts_with(j.limited_by, left(l.key::text, -1))))
            LIMIT 10000) w) AS waiting
FROM leasehold.key_limit l
WHERE $1::text IS NULL OR l.key = $1::text
ORDER BY l.key
