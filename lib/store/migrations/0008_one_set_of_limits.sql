-- The functions for users: the limits that lib/core says, and rights of their own.
--
-- SECURITY DEFINER: whoever may call them needs USAGE on the schema and EXECUTE on the function, and no rights on tables.
-- Every name in them has its schema, and search_path is pinned, so that nobody can put something else in the way.

-- Whether JSON has more levels of arrays and objects than this. Nearly all payloads have fewer brackets than that.
CREATE FUNCTION leasehold.is_deeper_than(json text, levels integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    brackets text;
BEGIN
    IF length(json) - length(translate(json, '[{', '')) <= levels THEN RETURN false; END IF;
    brackets := regexp_replace(json, '"(?:[^"\\]|\\.)*"', '', 'g');
    brackets := translate(regexp_replace(brackets, '[^][{}]+', '', 'g'), '{}', '[]');
    -- Each round takes away the innermost level.
    FOR level IN 1..levels LOOP
        EXIT WHEN brackets = '';
        brackets := replace(brackets, '[]', '');
    END LOOP;
    RETURN brackets <> '';
END
$$;

-- leasehold.enqueue(kind, payload, …), as before but for the limits of times, timeouts and nesting.
CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload json, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    wrong text;
    bytes integer := octet_length(payload::text);
    -- As a number without limits: an interval of many years is more ms than an integer holds.
    timeout_ms numeric := extract(epoch FROM timeout) * 1000;
BEGIN
    wrong := CASE
        WHEN kind IS NULL OR octet_length(kind) > 128 OR kind !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('kind %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(kind, 200))
        WHEN queue IS NULL OR octet_length(queue) > 128 OR queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('queue %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(queue, 200))
        WHEN payload IS NULL THEN 'payload is NULL; pass ''null'' for JSON''s null'
        WHEN bytes > 1048576
            THEN format('payload is %s bytes long; at most 1048576 are allowed', bytes)
        -- Most payloads are too short to be so deep.
        WHEN bytes > 200 AND leasehold.is_deeper_than(payload::text, 100)
            THEN 'payload is nested too deeply; at most 100 levels are allowed'
        WHEN priority IS NULL OR priority NOT BETWEEN -100 AND 100
            THEN format('priority is %s; it must be from -100 to 100', coalesce(priority::text, 'NULL'))
        WHEN max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 10000
            THEN format('max_attempts is %s; it must be from 1 to 10000', coalesce(max_attempts::text, 'NULL'))
        WHEN run_at < timestamptz '1970-01-01 00:00:00Z' OR run_at >= timestamptz '10000-01-01 00:00:00Z'
            THEN format('run_at is %s; it must be a time after 1970 and before the year 10000', run_at)
        WHEN timeout_ms < 1 OR timeout_ms > 2073600000
            THEN format('timeout is %s; it must be more than nothing and at most 24 days, in whole milliseconds', timeout)
        WHEN octet_length(unique_key) NOT BETWEEN 1 AND 512
            THEN format('unique_key is %s bytes long; it must be from 1 to 512', octet_length(unique_key))
        WHEN octet_length(limit_key) NOT BETWEEN 1 AND 512
            THEN format('limit_key is %s bytes long; it must be from 1 to 512', octet_length(limit_key))
        WHEN cardinality(depends_on) > 0
            THEN 'depends_on is not supported by this version of the schema'
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN (leasehold.enqueue_checked(
        coalesce(id, leasehold.new_id()), id IS NOT NULL, queue, kind, payload, priority::smallint,
        coalesce(run_at, now()), max_attempts, 3::smallint, trunc(timeout_ms)::integer, unique_key, limit_key)).id;
END
$$;

-- What the clients call by way of enqueue_checked.sql and cancel.sql.
ALTER FUNCTION leasehold.enqueue_checked(uuid, boolean, text, text, json, smallint, timestamptz, integer, smallint, integer, text, text)
    SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION leasehold.cancel_batch(uuid[]) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION leasehold.cancel(uuid) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
