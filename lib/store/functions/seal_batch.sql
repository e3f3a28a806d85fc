-- seal_batch: seals a batch, so that no more jobs can be added. It also stores which jobs are enqueued when the jobs of the batch
-- have ended.
--
-- Guard:      the exclusive lock on the row of the batch: the call waits for the transactions that add jobs.
-- Parameters: the name, and the kinds of up to three jobs: when all jobs have succeeded, when all have ended, when the first one is
--             dead; and the queue of these jobs.
-- Answer:     sealed; already: the batch was sealed before with the same kinds and the same queue; other: the batch was sealed
--             before with other values, and nothing was changed; unknown: there is no such batch.
-- Index:      batch_pkey.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.seal_batch(
    name text, on_success text DEFAULT NULL, on_complete text DEFAULT NULL, on_death text DEFAULT NULL,
    queue text DEFAULT 'default'
) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    found_batch leasehold.batch;
    wrong text;
BEGIN
    SELECT format('leasehold.seal_batch: %s %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _',
                  n.what, left(n.name, 200)) INTO wrong
    FROM (VALUES ('on_success', on_success), ('on_complete', on_complete), ('on_death', on_death), ('queue', coalesce(queue, ''))) n(what, name)
    WHERE octet_length(n.name) > 128 OR n.name !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
    LIMIT 1;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION '%', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT b.* INTO found_batch FROM leasehold.batch b WHERE b.name = seal_batch.name FOR UPDATE;
    IF NOT FOUND THEN
        RETURN 'unknown';
    ELSIF found_batch.sealed_at IS NOT NULL THEN
        RETURN CASE WHEN (found_batch.on_success::text, found_batch.on_complete::text, found_batch.on_death::text,
                          found_batch.callback_queue::text)
                         IS NOT DISTINCT FROM (on_success, on_complete, on_death, queue) THEN 'already' ELSE 'other' END;
    END IF;
    UPDATE leasehold.batch b
    SET sealed_at = now(), on_success = seal_batch.on_success, on_complete = seal_batch.on_complete,
        on_death = seal_batch.on_death, callback_queue = seal_batch.queue
    WHERE b.name = seal_batch.name;
    RETURN 'sealed';
END
$$;
