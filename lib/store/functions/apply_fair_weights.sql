-- apply_fair_weights: applies the changes of the weights of a queue that committed transactions have stored. The function parks
-- again the admitted jobs that still wait, and its caller then admits jobs with the new weights.
--
-- Guard:      the guard of park_again. The caller's transaction is short.
-- Parameters: the queue.
-- Answer:     the jobs that were parked.
-- Last:       if a key has several changes, the change of the transaction that began to write last counts. A key without a weight
--             has the weight 1.
-- Locked:     a weight or a change that another session has locked waits for a later call. Only for a change of this transaction, the call
--             waits until the lock timeout.
-- Index:      fair_weight_change_pkey, fair_weight_pkey, and the indexes of park_again.
-- Rights:     of the caller: an operator, or admit_fair.
CREATE OR REPLACE FUNCTION leasehold.apply_fair_weights(_queue text) RETURNS SETOF uuid
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
DECLARE
    keys text[] := '{}';
    wanted record;
    changed bigint;
BEGIN
    PERFORM pg_advisory_xact_lock(leasehold.fair_lock(_queue));
    FOR wanted IN
        SELECT c.fair_key::text AS name, bool_or(c.since = pg_current_xact_id_if_assigned()) AS is_own
        FROM leasehold.fair_weight_change c WHERE c.queue = _queue GROUP BY c.fair_key ORDER BY c.fair_key
    LOOP
        IF wanted.is_own THEN
            PERFORM FROM leasehold.fair_weight w WHERE w.queue = _queue AND w.fair_key = wanted.name FOR UPDATE;
        ELSE
            PERFORM FROM leasehold.fair_weight w WHERE w.queue = _queue AND w.fair_key = wanted.name FOR UPDATE SKIP LOCKED;
            CONTINUE WHEN NOT FOUND
                AND EXISTS (SELECT FROM leasehold.fair_weight w WHERE w.queue = _queue AND w.fair_key = wanted.name);
        END IF;
        keys := keys || wanted.name;
    END LOOP;
    IF keys = '{}' THEN
        RETURN;
    END IF;
    WITH free AS MATERIALIZED (
        SELECT c.fair_key, c.since FROM leasehold.fair_weight_change c
        WHERE c.queue = _queue AND c.fair_key = ANY (keys) FOR UPDATE SKIP LOCKED
    ), taken AS (
        DELETE FROM leasehold.fair_weight_change c USING free f
        WHERE c.queue = _queue AND c.fair_key = f.fair_key AND c.since = f.since RETURNING c.*
    ), latest AS MATERIALIZED (
        SELECT DISTINCT ON (t.fair_key) t.* FROM taken t ORDER BY t.fair_key, t.since DESC
    ), removed AS (
        DELETE FROM leasehold.fair_weight w
        WHERE w.queue = _queue AND w.fair_key = ANY (ARRAY(SELECT t.fair_key FROM latest t WHERE t.weight = 1))
    ), written AS (
        INSERT INTO leasehold.fair_weight AS w (queue, fair_key, weight, changed_at)
        SELECT t.queue, t.fair_key, t.weight, clock_timestamp() FROM latest t WHERE t.weight <> 1
        ON CONFLICT ON CONSTRAINT fair_weight_pkey DO UPDATE SET weight = excluded.weight, changed_at = excluded.changed_at
    )
    SELECT count(*) INTO changed FROM latest;
    IF changed > 0 THEN
        RETURN QUERY SELECT leasehold.park_again(_queue, NULL);
    END IF;
END
$$;
