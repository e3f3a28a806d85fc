-- admit: brings jobs that wait for room of some keys back into the line: for each queue and kind, as many jobs as the key has
-- room for, minus the jobs that got room before and have not started. Slots are taken by the claim, never here.
--
-- Guard:      the keys are locked, in the order of their numbers, so no claim takes their room during the call. A row that
--             another session has locked is skipped.
-- Parameters: the keys; the maximum number of jobs for each queue and kind of a key.
-- Answer:     the jobs that are now in the line.
-- Several:    a job with several keys may find no room for another key. It then waits for that key.
-- Bound:      for each queue and kind of a key, a call reads at most 200 jobs that another key blocks.
-- Rates:      a token that comes within 500 ms counts as room, because a reaper checks each key every 250 ms. The job waits in
--             the line, and a worker that has its hint claims it at the moment of the token.
-- Locks:      a lock of a key is held until the end of this call. After 50 ms the call fails with lock_not_available (55P03).
-- Index:      job_by_limit, job_pkey, and the indexes of key_room.
-- Rights:     of the caller, which is a worker or a reaper.
CREATE OR REPLACE FUNCTION leasehold.admit(_keys text[], _limit integer)
RETURNS TABLE (id uuid, queue text, line_at timestamptz)
LANGUAGE plpgsql SET lock_timeout = '50ms' SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    one text;
    room integer;
    room_left integer;
    looks_left integer;
    stretch_queue text;
    stretch_kind text;
    job record;
    other text;
BEGIN
    PERFORM pg_advisory_xact_lock(l.lock)
    FROM (SELECT DISTINCT leasehold.key_lock(k.key) AS lock FROM unnest(_keys) k(key) ORDER BY 1 OFFSET 0) l;
    FOR one IN SELECT DISTINCT k.key FROM unnest(_keys) k(key) ORDER BY 1 LOOP
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one, interval '500 milliseconds') r;
        room := least(_limit, CASE WHEN FOUND THEN room ELSE _limit END);
        CONTINUE WHEN room <= 0;
        stretch_queue := '';
        stretch_kind := '';
        LOOP
            -- The next queue and kind, one index probe for each.
            SELECT j.queue::text, j.kind::text INTO stretch_queue, stretch_kind FROM leasehold.job j
            WHERE j.limited_by = one AND (j.queue, j.kind) > (stretch_queue, stretch_kind)
              AND j.state >= 'queued' AND j.state <= 'queued'
            ORDER BY j.queue, j.kind LIMIT 1;
            EXIT WHEN NOT FOUND;
            SELECT room - count(*) INTO room_left FROM (
                SELECT FROM leasehold.job j
                WHERE j.limited_by = one AND j.queue = stretch_queue AND j.kind = stretch_kind AND j.limited_at IS NULL
                  AND j.state >= 'queued' AND j.state <= 'queued'
                LIMIT room) given;
            CONTINUE WHEN room_left <= 0;
            looks_left := room_left + 200;
            FOR job IN
                SELECT j.id, j.queue, j.kind, j.limit_keys, j.limited_at FROM leasehold.job j
                WHERE j.limited_by = one AND j.queue = stretch_queue AND j.kind = stretch_kind AND j.limited_at IS NOT NULL
                  AND j.state >= 'queued' AND j.state <= 'queued'
                ORDER BY j.limited_at, j.id LIMIT looks_left FOR UPDATE SKIP LOCKED
            LOOP
                EXIT WHEN room_left <= 0;
                other := NULL;
                IF cardinality(job.limit_keys) > 1 THEN
                    SELECT k.key INTO other FROM unnest(job.limit_keys) k(key)
                    CROSS JOIN LATERAL leasehold.key_room(k.key, interval '500 milliseconds') r
                    WHERE k.key <> one AND least(r.slots, r.tokens) <= 0 LIMIT 1;
                END IF;
                IF other IS NULL THEN
                    UPDATE leasehold.job j SET line_at = j.limited_at, limited_at = NULL WHERE j.id = job.id;
                    id := job.id;
                    queue := job.queue;
                    line_at := job.limited_at;
                    room_left := room_left - 1;
                    RETURN NEXT;
                ELSE
                    UPDATE leasehold.job j SET limited_by = other WHERE j.id = job.id;
                END IF;
            END LOOP;
        END LOOP;
    END LOOP;
END
$$;
