-- held_parents: which of these jobs an open transaction holds, so that no job can be enqueued that depends on them.
--
-- Guard:      as hold_parents, for each job alone. A job that must wait longer than the lock timeout is in the answer.
-- Parameters: ids. An id that belongs to no job is not held.
-- Cost:       a hundred held jobs cost a few hundred ms: after the first five, the lock timeout is only 1 ms.
-- Locks:      the locks of hold_parents, until the transaction ends. Its caller rolls it back.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.held_parents(ids uuid[]) RETURNS SETOF uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
DECLARE
    one uuid;
    held_so_far integer := 0;
BEGIN
    FOREACH one IN ARRAY ids LOOP
        BEGIN
            PERFORM FROM leasehold.hold_parents(ARRAY[one]);
        EXCEPTION
            WHEN foreign_key_violation THEN
                NULL;
            WHEN lock_not_available THEN
                held_so_far := held_so_far + 1;
                IF held_so_far = 5 THEN PERFORM set_config('lock_timeout', '1ms', true); END IF;
                RETURN NEXT one;
        END;
    END LOOP;
END
$$;
