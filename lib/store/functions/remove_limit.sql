-- remove_limit: ends the limit of a key or of a pattern. Jobs that wait for room come back into the line at the next tick of a
-- reaper.
--
-- Guard:      that of set_limit.
-- Parameters: the key, or the pattern, as it was set.
-- Answer:     whether there was such a limit.
-- Index:      key_limit_pkey.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.remove_limit(key text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(leasehold.key_lock(NULL));
    DELETE FROM leasehold.key_limit l WHERE l.key = remove_limit.key;
    RETURN FOUND;
END
$$;
