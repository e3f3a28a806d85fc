-- retry_terms: the field `retry` of a job, checked and in the form that workers read: each duration in whole s or ms.
--
-- Guard:      none, it reads no table.
-- Parameters: {"strategy": "exponential" | "linear" | "fixed", "base": "1s", "cap": "1h", "for": "2d"}, each field or none.
-- Answer:     the same without fields that are null. A value that cannot be parsed raises invalid_parameter_value.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.retry_terms(given jsonb) RETURNS jsonb
LANGUAGE plpgsql STABLE AS $$
DECLARE
    wrong text;
    answer jsonb := '{}';
    field text;
    ms bigint;
BEGIN
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'leasehold.enqueue: retry must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(k.name, ', ') INTO wrong FROM jsonb_object_keys(given) AS k(name)
    WHERE k.name NOT IN ('strategy', 'base', 'cap', 'for');
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: retry has no field %; it has strategy, base, cap and for', wrong
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF given ->> 'strategy' NOT IN ('exponential', 'linear', 'fixed') THEN
        RAISE EXCEPTION 'leasehold.enqueue: retry.strategy % is not exponential, linear or fixed', given -> 'strategy'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF given ->> 'strategy' IS NOT NULL THEN
        answer := jsonb_build_object('strategy', given ->> 'strategy');
    END IF;
    FOREACH field IN ARRAY ARRAY['base', 'cap', 'for'] LOOP
        ms := leasehold.duration_ms(given -> field, 'retry.' || field);
        IF ms IS NOT NULL THEN
            answer := answer || jsonb_build_object(field, CASE WHEN ms % 1000 = 0 THEN ms / 1000 || 's' ELSE ms || 'ms' END);
        END IF;
    END LOOP;
    IF leasehold.duration_ms(answer -> 'base', 'base') > leasehold.duration_ms(answer -> 'cap', 'cap') THEN
        RAISE EXCEPTION 'leasehold.enqueue: retry.cap is less than retry.base' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN answer;
END
$$;
