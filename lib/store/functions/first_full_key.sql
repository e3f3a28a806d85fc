-- first_full_key: whether a job that comes into the line must wait for room, and for which of its keys.
--
-- Guard:      none. It takes no lock, because the caller's transaction may stay open. A wrong answer costs one refused claim, or one
--             tick of a reaper: only claim_limited decides.
-- Parameters: the keys, the queue and the kind of the job, and its position in the line.
-- Answer:     the first key without room, and true; or the first key that has a limit (else the first key), and false.
-- Order:      a key for which jobs of the queue and the kind wait already has no room for a job that comes after them. If jobs that
--             come after the new one are in the line, the new one comes into the line too, before them. A claim parks those for which
--             there is no room then.
-- Index:      job_by_limit, and the index of key_room. The condition on the state is the condition of the index, word for word.
--             So the planner can use no other index, even if its statistics are old.
-- Rights:     of the caller.
-- Earlier versions called it without a position.
DROP FUNCTION IF EXISTS leasehold.first_full_key(text[], text, text);
CREATE OR REPLACE FUNCTION leasehold.first_full_key(
    _keys text[], _queue text, _kind text, _line_at timestamptz, OUT key text, OUT is_full boolean
)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
DECLARE
    one text;
    room bigint;
    -- So many jobs more than there is room for can be in the line. Without this bound, a million jobs that come in the opposite order of
    -- the line would all be there, each enqueue would count them, and nearly all would be refused.
    ahead CONSTANT bigint := 500;
    is_limited boolean;
BEGIN
    is_full := false;
    FOREACH one IN ARRAY _keys LOOP
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one) r;
        is_limited := FOUND;
        IF is_limited AND key IS NULL THEN key := one; END IF;
        IF EXISTS (
               SELECT FROM leasehold.job j
               WHERE j.limited_by = one AND j.queue = _queue AND j.kind = _kind AND j.limited_at <= _line_at
                 AND j.state >= 'queued' AND j.state <= 'queued')
           OR (is_limited AND (
               SELECT CASE WHEN bool_or(given.line_at > _line_at) THEN count(*) >= greatest(room, 0) + ahead ELSE count(*) >= room END
               FROM (
                   SELECT j.line_at FROM leasehold.job j
                   WHERE j.limited_by = one AND j.queue = _queue AND j.kind = _kind AND j.limited_at IS NULL
                     AND j.state >= 'queued' AND j.state <= 'queued'
                   LIMIT greatest(room, 0) + ahead) given))
        THEN
            key := one;
            is_full := true;
            RETURN;
        END IF;
    END LOOP;
    key := coalesce(key, _keys[1]);
END
$$;
