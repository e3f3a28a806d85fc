-- next_token: when the next token comes for the jobs with limit keys at the front of a line. A worker without Redis sends it.
--
-- Guard:      none, it only reads. Only claim_limited gives tokens.
-- Parameters: $1 queue, $2 kinds, or NULL for every kind.
-- Answer:     the time until the next token, in µs; NULL: no such job waits for a token.
-- Index:      job_with_limits, up to 500 jobs of each kind; key_limit_pkey, key_limit_pattern, limit_bucket_pkey.
WITH front AS MATERIALIZED (
    SELECT j.limit_keys FROM unnest($2::text[]) k(kind)
    CROSS JOIN LATERAL (
        SELECT j.limit_keys FROM leasehold.job j
        WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
          AND j.queue = $1 AND j.kind = k.kind AND j.line_at < 'infinity'
        ORDER BY j.line_at, j.id LIMIT 500
    ) j
    UNION ALL
    (SELECT j.limit_keys FROM leasehold.job j
     WHERE $2::text[] IS NULL AND j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
       AND j.queue = $1
     ORDER BY j.kind, j.line_at, j.id LIMIT 500)
)
SELECT min(t.token_in_us) AS token_in_us
FROM (SELECT DISTINCT f.limit_keys FROM front f) f
CROSS JOIN LATERAL (
    SELECT max(ceil(1000000 * (extract(epoch FROM b.full_at - clock_timestamp()) - (l.burst - 1) / l.rate)))::bigint AS token_in_us
    FROM unnest(f.limit_keys) k(key)
    CROSS JOIN LATERAL (SELECT b.full_at FROM leasehold.limit_bucket b WHERE b.key = k.key OFFSET 0) b
    CROSS JOIN LATERAL leasehold.limit_of(k.key) l
    WHERE l.rate IS NOT NULL
) t
WHERE t.token_in_us > 0
