-- first_full_key: whether a job that comes into the line must wait for room, and for which of its keys.
--
-- Guard:      none. It takes no lock, because the caller's transaction may stay open. A wrong answer costs one refused claim, or one
--             tick of a reaper: only claim_limited decides.
-- Parameters: the keys, the queue and the kind of the job.
-- Answer:     the first key without room, and true; or the first key that has a limit (else the first key), and false.
-- Order:      a key for which jobs of the queue and the kind wait already has no room for a new one.
-- Index:      job_by_limit, and the index of key_room. The condition on the state is the condition of the index, word for word.
--             So the planner can use no other index, even if its statistics are old.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.first_full_key(
    _keys text[], _queue text, _kind text, OUT key text, OUT is_full boolean
)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
DECLARE
    one text;
    room integer;
    is_limited boolean;
BEGIN
    is_full := false;
    FOREACH one IN ARRAY _keys LOOP
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one) r;
        is_limited := FOUND;
        IF is_limited AND key IS NULL THEN key := one; END IF;
        IF (is_limited AND room <= 0) OR EXISTS (
               SELECT FROM leasehold.job j
               WHERE j.limited_by = one AND j.queue = _queue AND j.kind = _kind AND j.limited_at IS NOT NULL
                 AND j.state >= 'queued' AND j.state <= 'queued')
           OR (is_limited AND room <= (
               SELECT count(*) FROM (
                   SELECT FROM leasehold.job j
                   WHERE j.limited_by = one AND j.queue = _queue AND j.kind = _kind AND j.limited_at IS NULL
                     AND j.state >= 'queued' AND j.state <= 'queued'
                   LIMIT room) given))
        THEN
            key := one;
            is_full := true;
            RETURN;
        END IF;
    END LOOP;
    key := coalesce(key, _keys[1]);
END
$$;
