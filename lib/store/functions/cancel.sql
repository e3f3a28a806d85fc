-- cancel: cancels one job: leasehold.cancel(id), for any language.
--
-- Guard:      as cancel_batch.
-- Answer:     the state of the job after the call. 'running' means that the worker is told to stop the run. If no job has the
--             id, the call fails with no_data_found.
-- Rights:     of the owner: a caller needs USAGE on the schema and EXECUTE on this function.
CREATE OR REPLACE FUNCTION leasehold.cancel(id uuid) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer text;
BEGIN
    -- Two calls, because the first call finds no row of a job that finished between its snapshot and its lock.
    FOR look IN 1..2 LOOP
        SELECT c.state INTO answer FROM leasehold.cancel_batch(ARRAY[cancel.id]) c;
        IF FOUND THEN RETURN answer; END IF;
    END LOOP;
    RAISE EXCEPTION 'leasehold.cancel: no job has the id %', cancel.id USING ERRCODE = 'no_data_found';
END
$$;
