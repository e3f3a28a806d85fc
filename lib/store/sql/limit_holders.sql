-- limit_holders: the limits that apply to a job: for each of its keys the limit, the runs that hold slots, and when a token
-- comes.
--
-- Guard:      none, it only reads.
-- Parameters: $1 keys.
-- Zero rows:  no key has a limit.
-- Answer:     one row for each key with a limit, in the order of the keys: at most 10 ids of runs, the oldest slots first; how many
--             runs there are; how long until there is a token, in ms, or NULL; the session that has locked a row of the key, which
--             claims need.
-- Index:      key_limit_pkey, key_limit_pattern, limit_slot_pkey, job_pkey, limit_bucket_pkey, limit_change_pkey.
SELECT k.key, l.running, l.burst, coalesce(holder.n, 0) AS running_now, coalesce(holder.ids[:10], '{}') AS holders,
       CASE WHEN l.rate IS NOT NULL THEN greatest(0, ceil(
           (extract(epoch FROM b.full_at - now()) - (l.burst - 1) / l.rate) * 1000))::bigint END AS token_in_ms,
       coalesce(at_bucket.pid, at_slot.pid, at_limit.pid) AS locker_pid,
       coalesce(at_bucket.application, at_slot.application, at_limit.application) AS locker_application,
       coalesce(at_bucket.since, at_slot.since, at_limit.since) AS locked_since
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
LEFT JOIN LATERAL (
    -- include locker_of: xmaxes = ARRAY[b.xmax]; table = leasehold.limit_bucket
) at_bucket ON b.xmax <> '0'
LEFT JOIN LATERAL (
    -- The slots of runs that have ended, if a claim can take them.
    SELECT array_agg(s.xmax) AS xmaxes FROM leasehold.limit_slot s
    WHERE s.key = k.key AND s.slot < l.running AND s.xmax <> '0' AND NOT EXISTS (
        SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running')
) slots ON true
LEFT JOIN LATERAL (
    -- include locker_of: xmaxes = slots.xmaxes; table = leasehold.limit_slot
) at_slot ON slots.xmaxes IS NOT NULL
LEFT JOIN LATERAL (
    -- A limit whose change waits to be applied.
    SELECT array_agg(e.xmax) AS xmaxes FROM leasehold.key_limit e
    WHERE e.xmax <> '0' AND EXISTS (SELECT FROM leasehold.limit_change c WHERE c.key = e.key)
      AND (e.key = k.key OR (right(e.key::text, 1) = '*' AND starts_with(k.key, left(e.key::text, -1))))
) changed ON true
LEFT JOIN LATERAL (
    -- include locker_of: xmaxes = changed.xmaxes; table = leasehold.key_limit
) at_limit ON changed.xmaxes IS NOT NULL
ORDER BY k.nth
