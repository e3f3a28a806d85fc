-- reaper_work: which tables have work for a reaper.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Answer:     one row. A table that another session has locked counts as a table with work: the step that does this work then waits
--             for the lock and names it, and no other step waits. `watched_ms_ago` is NULL if the table is locked: a reaper that
--             starts at this time waits for one lease, as if no reaper had run before.
-- Locks:      waits for 1 ms for each lock. The tables of this function are locked by their own blocks, so the caller's timeout holds
--             for `leasehold.job`, which the caller reads.
-- Index:      http_claim_undelivered, which has the answers of this moment; count_fold_pkey and count_change_xact, one probe each. The
--             other tables are empty, or have few rows.
-- Rights:     of the caller: a reaper.
CREATE OR REPLACE FUNCTION leasehold.reaper_work(
    OUT watched_ms_ago bigint, OUT has_deferred boolean, OUT has_ended_parents boolean, OUT has_limit_changes boolean,
    OUT has_fair_weight_changes boolean, OUT has_reorders boolean, OUT has_batches boolean, OUT has_undelivered boolean,
    OUT has_count_changes boolean)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    locks text := set_config('lock_timeout', '1ms', true);
BEGIN
    BEGIN
        SELECT (extract(epoch FROM now() - max(w.kept_at)) * 1000)::bigint INTO watched_ms_ago FROM leasehold.watch w;
    EXCEPTION WHEN lock_not_available THEN watched_ms_ago := NULL;
    END;
    BEGIN
        has_deferred := EXISTS (SELECT FROM leasehold.deferred_settle);
    EXCEPTION WHEN lock_not_available THEN has_deferred := true;
    END;
    BEGIN
        has_ended_parents := EXISTS (SELECT FROM leasehold.ended_parent);
    EXCEPTION WHEN lock_not_available THEN has_ended_parents := true;
    END;
    BEGIN
        has_limit_changes := EXISTS (SELECT FROM leasehold.limit_change);
    EXCEPTION WHEN lock_not_available THEN has_limit_changes := true;
    END;
    BEGIN
        has_fair_weight_changes := EXISTS (SELECT FROM leasehold.fair_weight_change);
    EXCEPTION WHEN lock_not_available THEN has_fair_weight_changes := true;
    END;
    BEGIN
        has_reorders := EXISTS (SELECT FROM leasehold.reorder);
    EXCEPTION WHEN lock_not_available THEN has_reorders := true;
    END;
    BEGIN
        has_batches := EXISTS (SELECT FROM leasehold.batch b WHERE b.sealed_at IS NOT NULL AND b.completed_at IS NULL);
    EXCEPTION WHEN lock_not_available THEN has_batches := true;
    END;
    BEGIN
        has_undelivered :=
            EXISTS (SELECT FROM leasehold.http_claim c WHERE c.deliver_by IS NOT NULL AND c.deliver_by < now());
    EXCEPTION WHEN lock_not_available THEN has_undelivered := true;
    END;
    BEGIN
        has_count_changes := EXISTS (
            SELECT FROM leasehold.count_change c
            WHERE c.xact >= (SELECT pg_snapshot_xmax(f.snapshot) FROM leasehold.count_fold f ORDER BY f.fold DESC LIMIT 1));
    EXCEPTION WHEN lock_not_available THEN has_count_changes := true;
    END;
END
$$;
