-- duration_ms: the milliseconds of a duration in the JSON of a job, such as "90s" or "1h30m".
--
-- Guard:      none, it reads no table.
-- Parameters: the JSON value, or NULL; the name of the field, for errors.
-- Answer:     NULL for NULL and for JSON's null. Anything but a text from 1 ms to 100 years is an invalid_parameter_value.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.duration_ms(given jsonb, field text) RETURNS bigint
LANGUAGE plpgsql STABLE AS $$
DECLARE
    ms numeric;
BEGIN
    IF given IS NULL OR jsonb_typeof(given) = 'null' THEN
        RETURN NULL;
    END IF;
    IF jsonb_typeof(given) <> 'string' THEN
        RAISE EXCEPTION 'leasehold.enqueue: % must be a duration as text, such as "90s"', field
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    BEGIN
        ms := extract(epoch FROM (given #>> '{}')::interval) * 1000;
    EXCEPTION WHEN data_exception THEN
        RAISE EXCEPTION 'leasehold.enqueue: % is no duration: %; write 10s, 5m, 1h30m or 250ms', field, given
            USING ERRCODE = 'invalid_parameter_value';
    END;
    IF ms NOT BETWEEN 1 AND 3153600000000 THEN
        RAISE EXCEPTION 'leasehold.enqueue: % is %; it must be from 1 ms to 36500 days', field, given
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN trunc(ms);
END
$$;
