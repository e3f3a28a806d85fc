-- hold_parents: locks jobs that are about to become parents, marks them as parents, and says which of them have finished. Until
-- the transaction ends, none of them can end, so no end of a parent is missed.
--
-- Guard:      row locks, taken in id order. The lock of a parent that is already marked is shared, so many transactions can
--             enqueue children of one job at the same time.
-- Parameters: ids.
-- Answer:     one row for each id; `state` is NULL for a live job. An id that belongs to no job fails with
--             foreign_key_violation.
-- Finished:   a finished parent is locked in history, and marked if it did not succeed, because an operator may revive it.
-- Index:      job_pkey, and the primary keys of the partitions of history.
-- Rights:     of the caller.
-- Loop:       repeats only if a parent is revived between the read of the live jobs and the read of history.
CREATE OR REPLACE FUNCTION leasehold.hold_parents(parent_ids uuid[]) RETURNS TABLE (id uuid, state text)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    live uuid[];
    unmarked uuid[];
    finished uuid[];
    finished_states text[];
    unknown uuid;
BEGIN
    -- With one snapshot for the whole transaction, the reads would miss what other transactions have just committed.
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'leasehold.enqueue: depends_on needs a READ COMMITTED transaction'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    FOR look IN 1..3 LOOP
        SELECT array_agg(l.id), array_agg(l.id) FILTER (WHERE l.is_parent IS NULL)
        INTO live, unmarked
        FROM (SELECT j.id, j.is_parent FROM leasehold.job j WHERE j.id = ANY (parent_ids) ORDER BY j.id FOR KEY SHARE) l;
        IF unmarked IS NOT NULL THEN
            PERFORM FROM leasehold.job j WHERE j.id = ANY (unmarked) ORDER BY j.id FOR NO KEY UPDATE;
            UPDATE leasehold.job j SET is_parent = true WHERE j.id = ANY (unmarked) AND j.is_parent IS NULL;
        END IF;
        IF cardinality(live) = cardinality(parent_ids) THEN
            finished := NULL;
            EXIT;
        END IF;

        UPDATE leasehold.history h SET is_parent = true
        WHERE h.id = ANY (parent_ids) AND h.id <> ALL (coalesce(live, '{}')) AND h.is_parent IS NULL
          AND h.state <> 'succeeded';
        SELECT array_agg(l.id), array_agg(l.state) INTO finished, finished_states
        FROM (SELECT h.id, h.state::text AS state FROM leasehold.history h
              WHERE h.id = ANY (parent_ids) AND h.id <> ALL (coalesce(live, '{}'))
              ORDER BY h.id FOR KEY SHARE) l;
        EXIT WHEN coalesce(cardinality(live), 0) + coalesce(cardinality(finished), 0) = cardinality(parent_ids);
    END LOOP;
    SELECT w.id INTO unknown FROM unnest(parent_ids) w(id)
    WHERE w.id <> ALL (coalesce(live, '{}') || coalesce(finished, '{}')) LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'leasehold.enqueue: depends_on names %, and no job has this id', unknown
            USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN QUERY
        SELECT l.id, NULL::text FROM unnest(live) l(id)
        UNION ALL
        SELECT f.id, f.state FROM unnest(finished, finished_states) f(id, state);
END
$$;
