-- remove_limit: ends the limit of a key or of a pattern. Jobs that wait for room come back into the line at the next tick of a
-- reaper.
--
-- Guard:      the guard of set_limit.
-- Parameters: the key, or the pattern, as it was set.
-- Answer:     whether the caller's transaction sees a limit to remove.
-- Index:      key_limit_pkey, limit_change_pkey.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.remove_limit(key text) RETURNS boolean
LANGUAGE plpgsql AS $$
#variable_conflict use_column
BEGIN
    IF NOT coalesce(
        (SELECT c.running IS NOT NULL OR c.rate IS NOT NULL FROM leasehold.limit_change c
         WHERE c.key = remove_limit.key ORDER BY c.since DESC LIMIT 1),
        EXISTS (SELECT FROM leasehold.key_limit l WHERE l.key = remove_limit.key)) THEN
        RETURN false;
    END IF;
    INSERT INTO leasehold.limit_change AS c (key) VALUES (remove_limit.key)
    ON CONFLICT ON CONSTRAINT limit_change_pkey DO UPDATE
    SET running = NULL, rate = NULL, rate_text = NULL, burst = NULL, asked_at = excluded.asked_at;
    RETURN true;
END
$$;
