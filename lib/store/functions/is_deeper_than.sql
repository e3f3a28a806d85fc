-- is_deeper_than: whether JSON has more levels of arrays and objects than a limit.
--
-- Guard:      none, it reads no table.
-- Parameters: the JSON as text, and how many levels are allowed.
-- Cost:       nearly all payloads have fewer brackets than the limit, and are told by counting the brackets.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.is_deeper_than(json text, levels integer) RETURNS boolean
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
