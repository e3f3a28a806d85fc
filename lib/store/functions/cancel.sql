-- cancel: cancels one job: leasehold.cancel(id), for any language.
--
-- Guard:      as cancel_batch.
-- Answer:     the state of the job after the call. 'running' means that the worker of the job is told. An id that no job has
--             fails with no_data_found.
-- Rights:     of the owner: whoever calls it needs USAGE on the schema and EXECUTE on this function.
CREATE OR REPLACE FUNCTION leasehold.cancel(id uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer text;
BEGIN
    -- Twice, since a job that finished between the snapshot and the lock is in neither table as seen by it.
    FOR look IN 1..2 LOOP
        SELECT c.state INTO answer FROM leasehold.cancel_batch(ARRAY[cancel.id]) c;
        IF FOUND THEN RETURN answer; END IF;
    END LOOP;
    RAISE EXCEPTION 'leasehold.cancel: no job has the id %', cancel.id USING ERRCODE = 'no_data_found';
END
$$;
