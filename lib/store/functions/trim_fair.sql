-- trim_fair: deletes tags that no longer have an effect. These are the tags of keys that have no parked job and whose tag is not
-- ahead of the line, and all tags of a queue in which no job with a fair key waits.
--
-- Guard:      the lock of the shares of each queue. The function does not wait for it, and skips the queue if it is not free.
-- Parameters: the maximum number of tags to delete.
-- Answer:     how many tags were deleted.
-- Idle:       when nothing waits, all keys are equal again. A key that comes back to a busy queue finds its tag.
-- Index:      fair_tag_pkey, fair_window_pkey; job_parked and job_fair_window, one probe for each key and kind.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.trim_fair(_limit integer) RETURNS bigint
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    one text := '';
    deleted bigint := 0;
    written bigint;
    reached double precision;
BEGIN
    LOOP
        SELECT least((SELECT t.queue FROM leasehold.fair_tag t WHERE t.queue > one ORDER BY t.queue LIMIT 1),
                     (SELECT w.queue FROM leasehold.fair_window w WHERE w.queue > one ORDER BY w.queue LIMIT 1)) INTO one;
        EXIT WHEN one IS NULL OR deleted >= _limit;
        CONTINUE WHEN NOT pg_try_advisory_xact_lock(leasehold.fair_lock(one));
        -- The first tag that waits, of each kind.
        SELECT min(coalesce(
            (SELECT j.fair_tag FROM leasehold.job j
             WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
               AND j.queue = one AND j.kind = w.kind AND j.fair_tag IS NOT NULL ORDER BY j.fair_tag LIMIT 1), w.tag))
        INTO reached FROM leasehold.fair_window w WHERE w.queue = one;
        IF NOT EXISTS (SELECT FROM leasehold.job j WHERE j.fair_at IS NOT NULL AND j.queue = one)
           AND NOT EXISTS (SELECT FROM leasehold.job j
                           WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                             AND j.queue = one) THEN
            reached := 'infinity';
        END IF;
        DELETE FROM leasehold.fair_tag t
        WHERE t.queue = one AND t.fair_key = ANY (ARRAY(
            SELECT b.fair_key FROM leasehold.fair_tag b
            WHERE b.queue = one AND b.tag <= reached AND NOT EXISTS (
                SELECT FROM leasehold.fair_window w
                CROSS JOIN LATERAL (
                    SELECT FROM leasehold.job j
                    WHERE j.fair_at IS NOT NULL AND j.queue = one AND j.kind = w.kind AND j.fair_key = b.fair_key LIMIT 1
                ) parked
                WHERE w.queue = one)
            LIMIT _limit - deleted));
        GET DIAGNOSTICS written = ROW_COUNT;
        deleted := deleted + written;
        IF reached = 'infinity' AND NOT EXISTS (SELECT FROM leasehold.fair_tag t WHERE t.queue = one) THEN
            DELETE FROM leasehold.fair_window w WHERE w.queue = one;
        END IF;
    END LOOP;
    RETURN deleted;
END
$$;
