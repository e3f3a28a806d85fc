-- admit_next: calls `admit` for the next keys that jobs wait for. A reaper calls this function, because the process that should
-- have called `admit` may have died. It is also possible that no process noticed that a key has room, because a limit was changed
-- or a token has come.
--
-- Guard:      the guard of admit. A key that another session uses is left to that session, or to the next tick.
-- Parameters: the key after which to begin; the maximum number of keys; the maximum number of jobs for each queue and kind of a key.
-- Answer:     the jobs that are now in the line. The last row has no job. It has the last key that the call examined, or NULL if
--             there are no more keys.
-- Index:      job_by_limit, one probe for each key; and the indexes of admit for each key that has room.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.admit_next(_after text, _keys integer, _limit integer)
RETURNS TABLE (id uuid, queue text, line_at timestamptz, last_key text)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    one text := _after;
    room integer;
    is_limited boolean;
    job record;
BEGIN
    FOR nth IN 1 .. _keys LOOP
        SELECT j.limited_by INTO one FROM leasehold.job j
        WHERE j.limited_by > one AND j.state >= 'queued' AND j.state <= 'queued' ORDER BY j.limited_by LIMIT 1;
        EXIT WHEN NOT FOUND;
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one, interval '500 milliseconds') r;
        is_limited := FOUND;
        CONTINUE WHEN (is_limited AND room <= 0) OR NOT pg_try_advisory_xact_lock(leasehold.key_lock(one));
        RETURN QUERY SELECT a.id, a.queue, a.line_at, NULL::text FROM leasehold.admit(ARRAY[one], _limit) a;
    END LOOP;
    RETURN QUERY SELECT NULL::uuid, NULL::text, NULL::timestamptz, one;
END
$$;
