-- apply_limits: applies the changes of limits that committed transactions have stored.
--
-- Guard:      the lock of all limits, alone: no claim of a job with limit keys is under way. Each claim begins after the change, or has
--             committed before it. So a limit is in force from one exact moment on, `changed_at`.
-- Parameters: whether to wait for the claims under way, at most for the lock timeout. A claim does not wait.
-- Answer:     whether the caller has the lock. It keeps the lock until its transaction ends: only a short transaction calls this function.
-- Last:       if a key has several changes, the change of the transaction that began to write last counts.
-- Slots:      runs that began while their key had no limit on runs get slots, so that they count.
-- Locked:     a limit or a change that another session has locked waits for a later call; the others are applied. Only for a
--             change of this transaction, the call waits until the lock timeout.
-- Bound:      1,000 keys. A claim refuses jobs whose keys have changes left.
-- Index:      limit_change_pkey, key_limit_pkey, limit_slot_pkey; job_lease: all running jobs are read.
-- Rights:     of the caller, which is a worker, a reaper or an operator.
CREATE OR REPLACE FUNCTION leasehold.apply_limits(_waits boolean) RETURNS boolean
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
DECLARE
    keys text[] := '{}';
    patterns text[];
    changed record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'leasehold.apply_limits: runs are counted exactly only in a READ COMMITTED transaction'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    IF _waits THEN
        PERFORM pg_advisory_xact_lock(leasehold.key_lock(NULL));
    ELSIF NOT pg_try_advisory_xact_lock(leasehold.key_lock(NULL)) THEN
        RETURN false;
    END IF;
    FOR changed IN
        SELECT c.key::text AS name, bool_or(c.since = pg_current_xact_id_if_assigned()) AS is_own
        FROM leasehold.limit_change c GROUP BY c.key ORDER BY c.key LIMIT 1000
    LOOP
        IF changed.is_own THEN
            PERFORM FROM leasehold.key_limit l WHERE l.key = changed.name FOR UPDATE;
        ELSE
            PERFORM FROM leasehold.key_limit l WHERE l.key = changed.name FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND AND EXISTS (SELECT FROM leasehold.key_limit l WHERE l.key = changed.name);
        END IF;
        keys := keys || changed.name;
    END LOOP;
    IF keys = '{}' THEN
        RETURN true;
    END IF;
    WITH free AS MATERIALIZED (
        SELECT c.key, c.since FROM leasehold.limit_change c WHERE c.key = ANY (keys) FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM leasehold.limit_change c USING free f WHERE c.key = f.key AND c.since = f.since RETURNING c.*
    ), latest AS MATERIALIZED (
        SELECT DISTINCT ON (t.key) t.* FROM taken t ORDER BY t.key, t.since DESC
    ), removed AS (
        DELETE FROM leasehold.key_limit l
        WHERE l.key = ANY (ARRAY(SELECT t.key FROM latest t WHERE t.running IS NULL AND t.rate IS NULL))
    )
    INSERT INTO leasehold.key_limit AS l (key, running, rate, rate_text, burst, changed_at)
    SELECT t.key, t.running, t.rate, t.rate_text, t.burst, clock_timestamp() FROM latest t
    WHERE t.running IS NOT NULL OR t.rate IS NOT NULL
    ON CONFLICT ON CONSTRAINT key_limit_pkey DO UPDATE
    SET running = excluded.running, rate = excluded.rate, rate_text = excluded.rate_text, burst = excluded.burst,
        changed_at = excluded.changed_at;
    -- A key that has lost its limit may have fallen under a pattern. Its runs may be more than that pattern allows.
    -- A pattern that is locked keeps its old time. In this case doctor may report such runs until they end.
    UPDATE leasehold.key_limit l SET widened_at = clock_timestamp()
    WHERE l.key::text = ANY (ARRAY(
        SELECT wider.key::text FROM leasehold.key_limit wider
        WHERE right(wider.key::text, 1) = '*'
          AND EXISTS (SELECT FROM unnest(keys) k(key)
                      WHERE k.key <> wider.key AND starts_with(k.key, left(wider.key::text, -1))
                        AND NOT EXISTS (SELECT FROM leasehold.key_limit own WHERE own.key = k.key))
        FOR UPDATE SKIP LOCKED));
    patterns := ARRAY(SELECT left(k.key, -1) FROM unnest(keys) k(key) WHERE right(k.key, 1) = '*');
    -- A bucket is at most empty: a key whose rate was lower before waits no longer than its new rate says.
    UPDATE leasehold.limit_bucket b SET full_at = t.empty_until
    FROM (SELECT b.key, clock_timestamp() + l.burst / l.rate * interval '1 second' AS empty_until
          FROM leasehold.limit_bucket b CROSS JOIN LATERAL leasehold.limit_of(b.key) l
          WHERE l.rate IS NOT NULL
            AND (b.key IN (SELECT c.key FROM unnest(keys) c(key))
                 OR EXISTS (SELECT FROM unnest(patterns) p(start) WHERE starts_with(b.key, p.start)))
          FOR UPDATE OF b SKIP LOCKED) t
    WHERE b.key = t.key AND b.full_at > t.empty_until;
    INSERT INTO leasehold.limit_slot (key, slot, job, epoch)
    SELECT r.key, coalesce((SELECT max(s.slot) FROM leasehold.limit_slot s WHERE s.key = r.key), -1)
                  + row_number() OVER (PARTITION BY r.key ORDER BY r.id),
           r.id, r.epoch
    FROM (SELECT k.key, j.id, j.epoch
          FROM leasehold.job j CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
          WHERE j.lease_expires_at IS NOT NULL AND j.limit_keys IS NOT NULL
            AND (k.key IN (SELECT c.key FROM unnest(keys) c(key))
                 OR EXISTS (SELECT FROM unnest(patterns) p(start) WHERE starts_with(k.key, p.start)))) r
    WHERE EXISTS (SELECT FROM leasehold.limit_of(r.key) l WHERE l.running IS NOT NULL)
      AND NOT EXISTS (SELECT FROM leasehold.limit_slot s WHERE s.key = r.key AND s.job = r.id AND s.epoch = r.epoch);
    RETURN true;
END
$$;
