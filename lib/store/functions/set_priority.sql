-- set_priority: changes the priority of one job that waits: leasehold.set_priority(id, priority), for any language.
--
-- Guard:      as place_batch.
-- Answer:     the state of the job. If it is blocked, scheduled or queued, the job has the priority now. A job that runs or has
--             finished stays unchanged. If no job has the id, the call fails with no_data_found.
-- Redis:      learns of the new position at the next fill of the head.
-- Rights:     of the owner: a caller needs USAGE on the schema and EXECUTE on this function.
CREATE OR REPLACE FUNCTION leasehold.set_priority(id uuid, priority integer) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    answer text;
BEGIN
    IF set_priority.priority IS NULL OR set_priority.priority NOT BETWEEN -100 AND 100 THEN
        RAISE EXCEPTION 'leasehold.set_priority: priority is %; it must be from -100 to 100', coalesce(set_priority.priority::text, 'NULL')
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Two calls, because the first call finds no row of a job that finished between its snapshot and its lock.
    FOR look IN 1..2 LOOP
        SELECT p.state INTO answer FROM leasehold.place_batch(ARRAY[set_priority.id], set_priority.priority, NULL) p;
        IF FOUND THEN RETURN answer; END IF;
    END LOOP;
    RAISE EXCEPTION 'leasehold.set_priority: no job has the id %', set_priority.id USING ERRCODE = 'no_data_found';
END
$$;
