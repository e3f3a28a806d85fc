-- trim_limits: deletes slots whose runs have ended, and buckets that are full. Without it, the rows of keys that are not used any
-- more would stay.
--
-- Guard:      the key is locked, and the statement that deletes has a snapshot from after that. So no claim has just taken the slot.
--             A key that another session uses keeps its rows.
-- Parameters: the key after which to begin; the maximum number of keys.
-- Answer:     the last key that the call examined, or NULL if there are no more keys.
-- Index:      limit_slot_pkey, limit_bucket_pkey, job_pkey.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.trim_limits(_after text, _keys integer) RETURNS text
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
DECLARE
    one text := _after;
BEGIN
    FOR nth IN 1 .. _keys LOOP
        SELECT least((SELECT s.key FROM leasehold.limit_slot s WHERE s.key > one ORDER BY s.key LIMIT 1),
                     (SELECT b.key FROM leasehold.limit_bucket b WHERE b.key > one ORDER BY b.key LIMIT 1)) INTO one;
        EXIT WHEN one IS NULL;
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(leasehold.key_lock(one));
        DELETE FROM leasehold.limit_slot s
        WHERE s.key = one AND NOT EXISTS (
            SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running');
        DELETE FROM leasehold.limit_bucket b WHERE b.key = one AND b.full_at <= clock_timestamp();
    END LOOP;
    RETURN one;
END
$$;
