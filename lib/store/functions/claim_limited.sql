-- claim_limited: queued → running, for jobs that have limit keys. No other statement can start such a job: the constraint
-- limited_run_has_its_slots refuses it.
--
-- Guard:      the guard of claim_careful; and each key of the job has a free slot and a token. A job without a free slot then
--             waits behind the line, until `admit` brings it back. A job without a token stays in the line.
-- Exact:      the first statement locks the keys, in the order of their numbers. The statements after it have new snapshots, so they
--             see every run that an earlier holder of the locks has started. A slot is held while its job runs with its epoch.
--             Because of the primary key of limit_slot, no two runs can hold the same slot.
-- Times:      the start time of a run is the current time, not the start of the transaction. The transaction began before the
--             wait for the locks, when the earlier runs of these slots had not ended. So, by their recorded times, never more
--             runs of a key overlap than its limit allows.
-- Ahead:      a run may take a token that comes within a few ms. It begins at the moment of the token: the caller waits until
--             then. So neither the network delay nor the timer of a worker lowers the rate.
-- Limits:     while this call has its share of the lock of all limits, no limit changes. The call first applies the changes that
--             committed before it. If other claims are under way, the changes cannot be applied now. Then jobs with these keys
--             are not claimed, and all other jobs are, until a reaper has waited for the claims and has applied the changes.
-- Parameters: worker, ids, each once and in the order of the line, kinds, or NULL for every kind, lease in ms, the maximum number of
--             jobs, the queue of the hints, how soon a token must come, in ms.
-- Answer:     the runs; begins_in_us says how long each must wait before it begins.
-- Zero rows:  a job that is not in the answer cannot be claimed now, or can never be claimed again. Both are normal.
-- Locks:      a lock of a key is held until the end of this call. After 50 ms the call fails with lock_not_available (55P03).
--             While another session applies a change of a limit, nothing is claimed. If another session has locked the bucket of
--             a key, or a slot that the call would take, the jobs of this key are not claimed, but all other jobs are.
-- Index:      limit_change_pkey, which is empty if no limit has changed; job_pkey, key_limit_pkey, key_limit_pattern, limit_slot_pkey,
--             limit_bucket_pkey.
-- Plans:      generic plans. Planning each statement for its values would take five times as long as running all of them.
-- Rights:     of the caller, which is a worker.
-- Overloads:  two. Workers of earlier versions begin a run immediately, so they take no token ahead of its time.
CREATE OR REPLACE FUNCTION leasehold.claim_limited(
    _worker uuid, _ids uuid[], _kinds text[], _lease_ms bigint, _limit bigint, _queue text, _ahead_ms bigint
) RETURNS TABLE (id uuid, epoch integer, queue text, kind text, payload text, attempt integer, max_attempts integer,
                 crashes smallint, timeout_ms integer, line_at timestamptz, retry text, retry_ms_left bigint,
                 has_parents boolean, limit_keys text[], is_fair boolean, begins_in_us bigint)
LANGUAGE plpgsql SET lock_timeout = '50ms' SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    keys text[];
    -- The keys that cannot be used now, because a change of their limit is not in force yet, or because another session has
    -- locked a row of the key.
    held text[] := '{}';
    held_more text[];
    is_alone boolean := false;
    -- For each key: the number of free slots, or NULL; the time from one token to the next, or NULL; the time for which tokens
    -- are saved up; the time at which the bucket is full.
    all_slots integer[];
    slots integer[];
    steps interval[];
    saved interval[];
    all_full_at timestamptz[];
    full_at timestamptz[];
    at timestamptz;
    begins timestamptz;
    latest timestamptz;
    taken uuid[];
    taken_at timestamptz[];
    -- The key and the run of each slot to take, and its number.
    slot_keys text[];
    slot_jobs uuid[];
    slot_epochs integer[];
    slot_numbers integer[];
    used integer[];
    full_ids uuid[];
    full_keys text[];
    crashed_room integer;
    has_danger_room boolean;
    job record;
    one text;
    place integer;
    full_key text;
    is_free boolean;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'leasehold.claim_limited: limits are exact only in a READ COMMITTED transaction'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    SELECT array_agg(DISTINCT k.key) INTO keys
    FROM unnest(_ids) hint(id)
    CROSS JOIN LATERAL (
        SELECT j.limit_keys FROM leasehold.job j WHERE j.id = hint.id AND j.state::text = 'queued' OFFSET 0
    ) j
    CROSS JOIN LATERAL unnest(j.limit_keys) k(key);
    IF keys IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM leasehold.limit_change) THEN
        -- Somebody has locked the table of limits: the call continues with jobs whose keys have not changed.
        BEGIN
            is_alone := leasehold.apply_limits(false);
        EXCEPTION WHEN lock_not_available THEN
            is_alone := false;
        END;
        held := ARRAY(
            SELECT k.key FROM unnest(keys) k(key)
            WHERE EXISTS (SELECT FROM leasehold.limit_change c
                          WHERE c.key = k.key OR (right(c.key::text, 1) = '*' AND starts_with(k.key, left(c.key::text, -1)))));
    END IF;
    IF NOT is_alone AND NOT pg_try_advisory_xact_lock_shared(leasehold.key_lock(NULL)) THEN
        RETURN;
    END IF;
    -- A key without a limit needs no lock: during this call, no session can apply a limit for the key.
    PERFORM pg_advisory_xact_lock(l.lock)
    FROM (SELECT DISTINCT leasehold.key_lock(k.key) AS lock FROM unnest(keys) k(key)
          WHERE EXISTS (SELECT FROM leasehold.limit_of(k.key)) ORDER BY 1 OFFSET 0) l;

    SELECT array_agg(k.key ORDER BY k.nth), array_agg(l.running - holders.n ORDER BY k.nth), array_agg(t.step ORDER BY k.nth),
           array_agg(t.step * (l.burst - 1) ORDER BY k.nth), array_agg(b.full_at ORDER BY k.nth)
    INTO keys, all_slots, steps, saved, all_full_at
    FROM unnest(keys) WITH ORDINALITY k(key, nth)
    LEFT JOIN LATERAL leasehold.limit_of(k.key) l ON true
    -- In whole microseconds, and not less than the rate says.
    CROSS JOIN LATERAL (SELECT ceil(1000000 / l.rate) * interval '1 microsecond' AS step) t
    CROSS JOIN LATERAL (
        SELECT count(*)::integer AS n FROM leasehold.limit_slot s
        CROSS JOIN LATERAL (
            SELECT FROM leasehold.job j WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running' OFFSET 0
        ) holder
        WHERE l.running IS NOT NULL AND s.key = k.key
    ) holders
    LEFT JOIN LATERAL (
        SELECT b.full_at FROM leasehold.limit_bucket b WHERE l.rate IS NOT NULL AND b.key = k.key OFFSET 0
    ) b ON true;
    at := clock_timestamp();
    latest := at + _ahead_ms * interval '1 millisecond';
    IF array_length(array_remove(all_full_at, NULL), 1) > 0 THEN
        held := held || ARRAY(
            WITH mine AS MATERIALIZED (
                SELECT b.key FROM leasehold.limit_bucket b WHERE b.key = ANY (keys) ORDER BY b.key FOR UPDATE SKIP LOCKED
            )
            SELECT k.key FROM unnest(keys, all_full_at) k(key, full_at)
            WHERE k.full_at IS NOT NULL AND k.key NOT IN (SELECT m.key FROM mine m));
    END IF;
    LOOP
        taken := '{}';
        taken_at := '{}';
        slot_keys := '{}';
        slot_jobs := '{}';
        slot_epochs := '{}';
        used := '{}';
        full_ids := '{}';
        full_keys := '{}';
        slots := all_slots;
        full_at := all_full_at;
        crashed_room := NULL;
        has_danger_room := NULL;
        FOR job IN
            SELECT j.id, j.epoch, j.limit_keys, j.crashes > 0 AS crashed, j.crashes > 0 AND j.crashes + 1 >= j.max_crashes AS in_danger
            FROM unnest(_ids) AS hint(id)
            CROSS JOIN LATERAL (
                SELECT j.id, j.epoch, j.limit_keys, j.crashes, j.max_crashes
                FROM leasehold.job j
                WHERE j.id = hint.id AND j.queue::text = _queue AND j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND
                  -- include claimable: queue = _queue
                FOR UPDATE OF j SKIP LOCKED
            ) j
        LOOP
            EXIT WHEN cardinality(taken) >= _limit;
            full_key := NULL;
            is_free := true;
            begins := at;
            FOREACH one IN ARRAY job.limit_keys LOOP
                place := array_position(keys, one);
                -- Somebody has just replaced the keys of the job: they are not locked.
                is_free := is_free AND place IS NOT NULL AND one <> ALL (held);
                IF slots[place] <= 0 AND full_key IS NULL THEN full_key := one; END IF;
                -- The next token.
                begins := greatest(begins, full_at[place] - saved[place]);
            END LOOP;
            IF full_key IS NOT NULL THEN
                full_ids := full_ids || job.id;
                full_keys := full_keys || full_key;
                CONTINUE;
            END IF;
            CONTINUE WHEN NOT is_free OR begins > latest;
            IF job.in_danger THEN
                IF has_danger_room IS NULL THEN
                    has_danger_room :=
                        -- include danger_room
                    ;
                END IF;
                CONTINUE WHEN NOT has_danger_room;
                has_danger_room := false;
            ELSIF job.crashed THEN
                IF crashed_room IS NULL THEN
                    crashed_room :=
                        -- include crashed_room
                    ;
                END IF;
                CONTINUE WHEN crashed_room <= 0;
                crashed_room := crashed_room - 1;
            END IF;
            taken := taken || job.id;
            taken_at := taken_at || begins;
            FOREACH one IN ARRAY job.limit_keys LOOP
                place := array_position(keys, one);
                IF slots[place] IS NOT NULL THEN
                    slots[place] := slots[place] - 1;
                    slot_keys := slot_keys || one;
                    slot_jobs := slot_jobs || job.id;
                    slot_epochs := slot_epochs || (job.epoch + 1);
                END IF;
                IF steps[place] IS NOT NULL THEN
                    full_at[place] := greatest(full_at[place], begins) + steps[place];
                    used := used || place;
                END IF;
            END LOOP;
        END LOOP;
        EXIT WHEN slot_keys = '{}';
        SELECT array_agg(w.key ORDER BY w.nth), array_agg(w.job ORDER BY w.nth), array_agg(w.epoch ORDER BY w.nth),
               array_agg(f.slot ORDER BY w.nth)
        INTO slot_keys, slot_jobs, slot_epochs, slot_numbers
        FROM (SELECT p.key, p.job, p.epoch, p.nth, row_number() OVER (PARTITION BY p.key ORDER BY p.nth) AS n
              FROM unnest(slot_keys, slot_jobs, slot_epochs) WITH ORDINALITY p(key, job, epoch, nth)) w
        LEFT JOIN (SELECT k.key, free.slot, row_number() OVER (PARTITION BY k.key ORDER BY free.slot) AS n
                   FROM (SELECT p.key, count(*) AS wanted FROM unnest(slot_keys) p(key) GROUP BY 1) k
                   CROSS JOIN LATERAL leasehold.limit_of(k.key) l
                   CROSS JOIN LATERAL (
                       SELECT g.slot FROM generate_series(0, l.running - 1) g(slot)
                       WHERE (SELECT holder.held FROM leasehold.limit_slot s
                              CROSS JOIN LATERAL (
                                  SELECT true AS held FROM leasehold.job j
                                  WHERE j.id = s.job AND j.epoch = s.epoch AND j.state::text = 'running' OFFSET 0
                              ) holder
                              WHERE s.key = k.key AND s.slot = g.slot) IS NULL
                       ORDER BY g.slot LIMIT k.wanted
                   ) free) f ON f.key = w.key AND f.n = w.n;
        IF array_position(slot_numbers, NULL) IS NOT NULL THEN
            RAISE EXCEPTION 'leasehold.claim_limited: fewer slots were free than were counted';
        END IF;
        -- The rows of runs that have ended. If another session has locked such a row, the jobs are chosen again, without the jobs
        -- of its key.
        WITH mine AS MATERIALIZED (
            SELECT s.key, s.slot FROM unnest(slot_keys, slot_numbers) p(key, slot)
            CROSS JOIN LATERAL (
                SELECT s.key, s.slot FROM leasehold.limit_slot s WHERE s.key = p.key AND s.slot = p.slot FOR UPDATE SKIP LOCKED
            ) s
        )
        SELECT array_agg(DISTINCT s.key) INTO held_more
        FROM unnest(slot_keys, slot_numbers) p(key, slot)
        CROSS JOIN LATERAL (
            SELECT s.key, s.slot FROM leasehold.limit_slot s WHERE s.key = p.key AND s.slot = p.slot OFFSET 0
        ) s
        WHERE NOT EXISTS (SELECT FROM mine m WHERE m.key = s.key AND m.slot = s.slot);
        IF held_more IS NULL THEN
            INSERT INTO leasehold.limit_slot AS s (key, slot, job, epoch)
            SELECT p.key, p.slot, p.job, p.epoch FROM unnest(slot_keys, slot_numbers, slot_jobs, slot_epochs) p(key, slot, job, epoch)
            ON CONFLICT (key, slot) DO UPDATE SET job = excluded.job, epoch = excluded.epoch;
            EXIT;
        END IF;
        held := held || held_more;
    END LOOP;

    IF used <> '{}' THEN
        INSERT INTO leasehold.limit_bucket AS b (key, full_at)
        SELECT keys[u.place], full_at[u.place] FROM (SELECT DISTINCT p.place FROM unnest(used) p(place)) u
        ON CONFLICT (key) DO UPDATE SET full_at = excluded.full_at;
    END IF;
    UPDATE leasehold.job j SET limited_at = j.line_at, line_at = 'infinity', limited_by = f.key
    FROM unnest(full_ids, full_keys) f(id, key)
    WHERE j.id = f.id AND j.id = ANY (full_ids);
    RETURN QUERY
        UPDATE leasehold.job j
        -- include start_run: lease_ms = $4; at = t.at
        , limit_epoch = j.epoch + 1
        FROM unnest(taken, taken_at) t(id, at)
        WHERE j.id = t.id AND j.id = ANY (taken)
        RETURNING j.id, j.epoch, j.queue::text, j.kind::text, j.payload::text, j.attempt, j.max_attempts, j.crashes,
                  j.timeout_ms, j.line_at, j.retry::text, (extract(epoch FROM j.retry_until - now()) * 1000)::bigint,
                  j.unmet IS NOT NULL, j.limit_keys, j.fair_key IS NOT NULL,
                  greatest(0, ceil(extract(epoch FROM j.started_at - clock_timestamp()) * 1000000))::bigint;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.claim_limited(
    _worker uuid, _ids uuid[], _kinds text[], _lease_ms bigint, _limit bigint, _queue text
) RETURNS TABLE (id uuid, epoch integer, queue text, kind text, payload text, attempt integer, max_attempts integer,
                 crashes smallint, timeout_ms integer, line_at timestamptz, retry text, retry_ms_left bigint,
                 has_parents boolean, limit_keys text[], is_fair boolean)
LANGUAGE sql AS $$
    SELECT c.id, c.epoch, c.queue, c.kind, c.payload, c.attempt, c.max_attempts, c.crashes, c.timeout_ms, c.line_at, c.retry,
           c.retry_ms_left, c.has_parents, c.limit_keys, c.is_fair
    FROM leasehold.claim_limited(_worker, _ids, _kinds, _lease_ms, _limit, _queue, 0) c
$$;
