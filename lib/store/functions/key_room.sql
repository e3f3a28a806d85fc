-- key_room: how many more jobs of a key may start now.
--
-- Guard:      none, it only reads. The answer is exact only for a caller that has locked the key and has a snapshot from after that.
-- Parameters: a key; how far to look ahead for tokens: a token that comes within this time counts too.
-- Answer:     the free slots, and the tokens in the bucket; NULL means any number. A limit that was lowered makes the number of
--             free slots negative until enough runs have ended. Zero rows: the key is free.
-- Index:      key_limit_pkey, limit_slot_pkey, job_pkey.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.key_room(_key text, _ahead interval DEFAULT interval '0')
RETURNS TABLE (slots integer, tokens integer)
LANGUAGE sql STABLE AS $$
    SELECT l.running - (
               SELECT count(*)::integer FROM leasehold.limit_slot s
               CROSS JOIN LATERAL (
                   SELECT FROM leasehold.job j
                   WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running' OFFSET 0
               ) holder
               WHERE l.running IS NOT NULL AND s.key = _key),
           -- A thousandth of a token is lost to rounding, not a whole one.
           floor(l.burst + l.rate * (extract(epoch FROM _ahead) - greatest(0, extract(epoch FROM
               (SELECT b.full_at FROM leasehold.limit_bucket b WHERE b.key = _key) - clock_timestamp()))) + 0.001)::integer
    FROM leasehold.limit_of(_key) l
$$;
