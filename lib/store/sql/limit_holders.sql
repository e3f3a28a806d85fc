-- limit_holders: which limits a job meets: for each of its keys the limit, the runs that hold slots, and when a token comes.
--
-- Guard:      none, it only reads.
-- Parameters: $1 keys.
-- Zero rows:  no key has a limit.
-- Answer:     one row for each key with a limit, in the order of the keys: at most 10 ids of runs, the oldest slots first; how many
--             runs there are; how long until there is a token, in ms, or NULL.
-- Index:      key_limit_pkey, key_limit_pattern, limit_slot_pkey, job_pkey, limit_bucket_pkey.
SELECT k.key, l.running, l.burst, coalesce(holder.n, 0) AS running_now, coalesce(holder.ids[:10], '{}') AS holders,
       CASE WHEN l.rate IS NOT NULL THEN greatest(0, ceil(
           (extract(epoch FROM b.full_at - now()) - (l.burst - 1) / l.rate) * 1000))::bigint END AS token_in_ms
FROM unnest($1::text[]) WITH ORDINALITY k(key, nth)
CROSS JOIN LATERAL leasehold.limit_of(k.key) l
LEFT JOIN leasehold.limit_bucket b ON b.key = k.key AND l.rate IS NOT NULL
CROSS JOIN LATERAL (
    SELECT count(*) AS n, array_agg(s.job ORDER BY s.slot) AS ids FROM leasehold.limit_slot s
    CROSS JOIN LATERAL (
        SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running' OFFSET 0
    ) run
    WHERE s.key = k.key
) holder
ORDER BY k.nth
