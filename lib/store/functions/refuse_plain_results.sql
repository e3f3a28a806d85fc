-- refuse_plain_results: the trigger of this name calls it after each statement that inserts into history. The result of a job
-- with an encrypted payload must be encrypted too. The check is needed because a process without keys may end such a job over
-- HTTP.
--
-- Guard:      the rows were inserted by this statement.
-- Answer:     none: it fails with 22ENR if there is such a result. Then no run of the statement has ended, and the settle sends each run alone.
-- Index:      none is read.
-- Rights:     of the caller. It reads no table.
CREATE OR REPLACE FUNCTION leasehold.refuse_plain_results() RETURNS trigger
LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM ended e
               WHERE e.result IS NOT NULL AND starts_with(e.payload::text, '{"$encrypted":{"v":')
                 AND NOT starts_with(e.result::text, '{"$encrypted":{"v":')) THEN
        RAISE EXCEPTION 'the payload of the job is encrypted, and its result is not: the process that ends the job needs the setting encryption.keys'
            USING ERRCODE = '22ENR';
    END IF;
    RETURN NULL;
END
$$;
