-- tokens_of_jobs: when the tokens come for jobs of the line that a claim has refused. The first job of a key gets the key's next
-- token, the second job gets the token after that, and so on. So two workers that have hints of one key do not claim at the same
-- moment.
--
-- Guard:      none, it only reads. Only claim_limited gives tokens.
-- Parameters: $1 ids.
-- Zero rows:  no key of these jobs has a rate.
-- Answer:     for each job with such a key, the time until its token comes, in µs.
-- Index:      job_pkey; job_by_limit, the jobs of a queue and kind that were given room, up to 1,000; key_limit_pkey, key_limit_pattern,
--             limit_bucket_pkey.
WITH refused AS MATERIALIZED (
    SELECT j.* FROM unnest($1::uuid[]) h(id)
    CROSS JOIN LATERAL (
        SELECT j.id, j.queue, j.kind, j.limit_keys, j.limited_by FROM leasehold.job j
        WHERE j.id = h.id AND j.limit_keys IS NOT NULL AND j.state::text = 'queued' OFFSET 0
    ) j
), place AS MATERIALIZED (
    SELECT g.id, row_number() OVER (PARTITION BY k.limited_by, k.queue, k.kind ORDER BY g.line_at, g.id) AS nth
    FROM (SELECT DISTINCT r.limited_by, r.queue, r.kind FROM refused r WHERE r.limited_by IS NOT NULL) k
    CROSS JOIN LATERAL (
        SELECT j.id, j.line_at FROM leasehold.job j
        WHERE j.limited_by = k.limited_by AND j.queue = k.queue AND j.kind = k.kind AND j.limited_at IS NULL
          AND j.state >= 'queued' AND j.state <= 'queued'
        LIMIT 1000
    ) g
)
SELECT r.id, max(ceil(1000000 * greatest(0, greatest(0, coalesce(extract(epoch FROM b.full_at - clock_timestamp()), 0))
                                            - (l.burst - CASE WHEN k.key = r.limited_by THEN coalesce(p.nth, 1) ELSE 1 END) / l.rate
                     )))::bigint AS token_in_us
FROM refused r
LEFT JOIN place p ON p.id = r.id
CROSS JOIN LATERAL unnest(r.limit_keys) k(key)
CROSS JOIN LATERAL leasehold.limit_of(k.key) l
LEFT JOIN LATERAL (SELECT b.full_at FROM leasehold.limit_bucket b WHERE b.key = k.key OFFSET 0) b ON true
WHERE l.rate IS NOT NULL
GROUP BY r.id
