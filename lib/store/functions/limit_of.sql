-- limit_of: the limit of a key: the limit that is set for exactly this key, or else the limit of the longest pattern that
-- matches.
--
-- Guard:      none, it only reads.
-- Parameters: a key.
-- Answer:     the most runs at the same time, the starts per second, and the burst; NULL means any number. Zero rows: the key is
--             free.
-- Index:      key_limit_pkey, key_limit_pattern.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.limit_of(_key text)
RETURNS TABLE (running integer, rate double precision, burst integer)
LANGUAGE sql STABLE AS $$
    SELECT l.running, l.rate, l.burst
    FROM (
        (SELECT e.running, e.rate, e.burst, 1 AS rank FROM leasehold.key_limit e WHERE e.key = _key)
        UNION ALL
        (SELECT p.running, p.rate, p.burst, 2 FROM leasehold.key_limit p
         WHERE right(p.key::text, 1) = '*' AND starts_with(_key, left(p.key::text, -1))
         ORDER BY length(p.key::text) DESC LIMIT 1)
    ) l
    ORDER BY l.rank LIMIT 1
$$;
