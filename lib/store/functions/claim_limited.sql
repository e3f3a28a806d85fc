-- claim_limited: queued → running, for jobs that have limit keys. No other statement can start such a job: the constraint
-- limited_run_has_its_slots refuses it.
--
-- Guard:      that of claim_careful; and each key of the job has a free slot and a token. A job without a free slot waits behind
--             the line from then on, until `admit` brings it back. A job without a token stays in the line.
-- Exact:      the first statement locks the keys, in the order of their numbers. The statements after it have new snapshots, so they
--             see every run that an earlier holder of the locks has started. A slot is held while its job runs with its epoch. The
--             primary key of limit_slot lets nobody hold a slot twice.
-- Times:      a run begins now, and not when the transaction began: that was before the wait for the locks, when the runs that
--             held the slots before had not ended. So the records of the runs of a key never overlap by more than its limit.
-- Parameters: worker, ids, each once and in the order of the line, kinds, or NULL for every kind, lease in ms, the maximum number of
--             jobs, the queue of the hints.
-- Zero rows:  a job that is not in the answer cannot be claimed (any more), or not now. Both are normal.
-- Locks:      a lock of a key is held until the end of this call. After 50 ms the call fails with lock_not_available (55P03).
--             While somebody changes a limit, nothing is claimed.
-- Index:      job_pkey, and those of key_room; limit_bucket_pkey.
-- Plans:      generic ones. To plan each statement for its values takes five times as long as to run them all.
-- Rights:     of the caller, which is a worker.
CREATE OR REPLACE FUNCTION leasehold.claim_limited(
    _worker uuid, _ids uuid[], _kinds text[], _lease_ms bigint, _limit bigint, _queue text
) RETURNS TABLE (id uuid, epoch integer, queue text, kind text, payload text, attempt integer, max_attempts integer,
                 crashes smallint, timeout_ms integer, line_at timestamptz, retry text, retry_ms_left bigint,
                 has_parents boolean, limit_keys text[], is_fair boolean)
LANGUAGE plpgsql SET lock_timeout = '50ms' SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    keys text[];
    -- For each key: the number of free slots and of tokens, or NULL.
    slots integer[];
    tokens integer[];
    taken uuid[] := '{}';
    -- The key and the run of each slot to take.
    slot_keys text[] := '{}';
    slot_jobs uuid[] := '{}';
    slot_epochs integer[] := '{}';
    token_keys text[] := '{}';
    full_ids uuid[] := '{}';
    full_keys text[] := '{}';
    crashed_room integer;
    has_danger_room boolean;
    written bigint;
    job record;
    one text;
    place integer;
    full_key text;
    has_tokens boolean;
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
    IF keys IS NULL OR NOT pg_try_advisory_xact_lock_shared(leasehold.key_lock(NULL)) THEN
        RETURN;
    END IF;
    -- A key without a limit needs no lock: while this call lasts, nobody can set a limit for it.
    PERFORM pg_advisory_xact_lock(l.lock)
    FROM (SELECT DISTINCT leasehold.key_lock(k.key) AS lock FROM unnest(keys) k(key)
          WHERE EXISTS (SELECT FROM leasehold.limit_of(k.key)) ORDER BY 1 OFFSET 0) l;

    SELECT array_agg(k.key ORDER BY k.nth), array_agg(r.slots ORDER BY k.nth), array_agg(r.tokens ORDER BY k.nth)
    INTO keys, slots, tokens
    FROM unnest(keys) WITH ORDINALITY k(key, nth)
    LEFT JOIN LATERAL leasehold.key_room(k.key) r ON true;
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
        has_tokens := true;
        FOREACH one IN ARRAY job.limit_keys LOOP
            place := array_position(keys, one);
            -- Somebody has just replaced the keys of the job: they are not locked.
            has_tokens := has_tokens AND place IS NOT NULL AND coalesce(tokens[place] > 0, true);
            IF slots[place] <= 0 AND full_key IS NULL THEN full_key := one; END IF;
        END LOOP;
        IF full_key IS NOT NULL THEN
            full_ids := full_ids || job.id;
            full_keys := full_keys || full_key;
            CONTINUE;
        END IF;
        CONTINUE WHEN NOT has_tokens;
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
        FOREACH one IN ARRAY job.limit_keys LOOP
            place := array_position(keys, one);
            IF slots[place] IS NOT NULL THEN
                slots[place] := slots[place] - 1;
                slot_keys := slot_keys || one;
                slot_jobs := slot_jobs || job.id;
                slot_epochs := slot_epochs || (job.epoch + 1);
            END IF;
            IF tokens[place] IS NOT NULL THEN
                tokens[place] := tokens[place] - 1;
                token_keys := token_keys || one;
            END IF;
        END LOOP;
    END LOOP;

    IF slot_keys <> '{}' THEN
        INSERT INTO leasehold.limit_slot AS s (key, slot, job, epoch)
        SELECT w.key, f.slot, w.job, w.epoch
        FROM (SELECT p.key, p.job, p.epoch, row_number() OVER (PARTITION BY p.key ORDER BY p.nth) AS n
              FROM unnest(slot_keys, slot_jobs, slot_epochs) WITH ORDINALITY p(key, job, epoch, nth)) w
        JOIN (SELECT k.key, free.slot, row_number() OVER (PARTITION BY k.key ORDER BY free.slot) AS n
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
              ) free) f ON f.key = w.key AND f.n = w.n
        -- The row of a run that has ended.
        ON CONFLICT (key, slot) DO UPDATE SET job = excluded.job, epoch = excluded.epoch;
        GET DIAGNOSTICS written = ROW_COUNT;
        IF written <> cardinality(slot_keys) THEN
            RAISE EXCEPTION 'leasehold.claim_limited: % slots were free, and % were taken', cardinality(slot_keys), written;
        END IF;
    END IF;
    IF token_keys <> '{}' THEN
        INSERT INTO leasehold.limit_bucket AS b (key, full_at)
        SELECT t.key, now() + t.n / l.rate * interval '1 second'
        FROM (SELECT k.key, count(*) AS n FROM unnest(token_keys) k(key) GROUP BY 1 ORDER BY 1) t
        CROSS JOIN LATERAL leasehold.limit_of(t.key) l
        ON CONFLICT (key) DO UPDATE
        SET full_at = greatest(b.full_at, clock_timestamp()) + (excluded.full_at - now());
    END IF;
    UPDATE leasehold.job j SET limited_at = j.line_at, line_at = 'infinity', limited_by = f.key
    FROM unnest(full_ids, full_keys) f(id, key)
    WHERE j.id = f.id AND j.id = ANY (full_ids);
    RETURN QUERY
        UPDATE leasehold.job j
        -- include start_run: lease_ms = $4; at = clock_timestamp()
        , limit_epoch = j.epoch + 1
        WHERE j.id = ANY (taken)
        RETURNING j.id, j.epoch, j.queue::text, j.kind::text, j.payload::text, j.attempt, j.max_attempts, j.crashes,
                  j.timeout_ms, j.line_at, j.retry::text, (extract(epoch FROM j.retry_until - now()) * 1000)::bigint,
                  j.unmet IS NOT NULL, j.limit_keys, j.fair_key IS NOT NULL;
END
$$;
