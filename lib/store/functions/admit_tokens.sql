-- admit_tokens: `admit` for the keys whose next token has come or comes soon, for a reaper. A key without tokens costs only one
-- read of its bucket, however many such keys have waiting jobs.
--
-- Guard:      the guard of admit. A key that another session uses is left to that session, or to the next tick.
-- Parameters: the maximum number of jobs for each queue and kind of a key.
-- Answer:     the jobs that are now in the line.
-- Bound:      1,000 keys: the keys whose tokens came first. admit_next finds the others.
-- Index:      the whole of limit_bucket_pkey, which has one short row for each key that was used recently; job_by_limit, one
--             probe for each key with a token; and the indexes of admit.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.admit_tokens(_limit integer)
RETURNS TABLE (id uuid, queue text, line_at timestamptz)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    one text;
    room integer;
BEGIN
    FOR one IN
        SELECT b.key FROM leasehold.limit_bucket b
        -- The tokens that a full bucket has more than one.
        WHERE b.full_at <= clock_timestamp() + interval '500 milliseconds' + (
                  SELECT coalesce(max((l.burst - 1) / l.rate), 0) * interval '1 second' FROM leasehold.key_limit l WHERE l.rate IS NOT NULL)
          AND EXISTS (SELECT FROM leasehold.job j
                      WHERE j.limited_by = b.key AND j.limited_at IS NOT NULL AND j.state >= 'queued' AND j.state <= 'queued')
        ORDER BY b.full_at LIMIT 1000
    LOOP
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one, interval '500 milliseconds') r;
        CONTINUE WHEN room <= 0 OR NOT pg_try_advisory_xact_lock(leasehold.key_lock(one));
        RETURN QUERY SELECT a.id, a.queue, a.line_at FROM leasehold.admit(ARRAY[one], _limit) a;
    END LOOP;
END
$$;
