-- is_deeper_than: whether JSON has more levels of arrays and objects than a limit.
--
-- Guard:      none, it reads no table.
-- Parameters: the JSON as text, and the limit.
-- Cost:       small for nearly all payloads: if a payload has at most as many opening brackets as the limit, nothing else
--             is done.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.is_deeper_than(json text, levels integer) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    brackets text;
BEGIN
    IF length(json) - length(translate(json, '[{', '')) <= levels THEN RETURN false; END IF;
    brackets := regexp_replace(json, '"(?:[^"\\]|\\.)*"', '', 'g');
    brackets := translate(regexp_replace(brackets, '[^][{}]+', '', 'g'), '{}', '[]');
    -- Each round removes the innermost level.
    FOR level IN 1..levels LOOP
        EXIT WHEN brackets = '';
        brackets := replace(brackets, '[]', '');
    END LOOP;
    RETURN brackets <> '';
END
$$;
