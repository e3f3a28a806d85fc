-- unique_terms: the fields `unique_key` and `unique` of a job, checked and resolved.
--
-- Guard:      none, it reads no table.
-- Parameters: the job. Its `unique` is {"while": "live" | "queued", "on_conflict": "skip" | "replace" | "keep_last", "until": time,
--             "for": "1h", "fields": ["a"], "payload": true, "longest_wait": "5m"}, each field or none.
-- Answer:     the key; the rule for the key when the job begins; the time until which the key is held in any case; the action if
--             the key is already held. A value that cannot be parsed raises invalid_parameter_value.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.unique_terms(
    spec leasehold.job_spec, OUT key text, OUT rule leasehold.unique_rule, OUT until timestamptz, OUT on_conflict text,
    OUT longest_wait interval
)
LANGUAGE plpgsql STABLE AS $$
DECLARE
    given jsonb := spec."unique";
    while_state text := coalesce(given ->> 'while', 'live');
    for_ms bigint;
    wait_ms bigint;
    unknown text;
    wrong text;
BEGIN
    on_conflict := coalesce(given ->> 'on_conflict', 'skip');
    IF jsonb_typeof(given) <> 'object' THEN
        RAISE EXCEPTION 'leasehold.enqueue: unique must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(k.name, ', ') INTO unknown FROM jsonb_object_keys(given) AS k(name)
    WHERE k.name NOT IN ('while', 'on_conflict', 'until', 'for', 'fields', 'payload', 'longest_wait');
    for_ms := leasehold.duration_ms(given -> 'for', 'unique.for');
    wait_ms := leasehold.duration_ms(given -> 'longest_wait', 'unique.longest_wait');
    wrong := CASE
        WHEN unknown IS NOT NULL THEN format('unique has no field %s', unknown)
        WHEN while_state NOT IN ('live', 'queued') THEN format('unique.while %L is not live or queued', while_state)
        WHEN on_conflict NOT IN ('skip', 'replace', 'keep_last')
            THEN format('unique.on_conflict %L is not skip, replace or keep_last', on_conflict)
        WHEN jsonb_typeof(coalesce(given -> 'fields', '[]')) <> 'array' THEN 'unique.fields must be a list of names'
        WHEN jsonb_array_length(coalesce(given -> 'fields', '[]')) > 32
            THEN format('unique.fields has %s names; at most 32 are allowed', jsonb_array_length(given -> 'fields'))
        WHEN jsonb_path_exists(coalesce(given -> 'fields', '[]'), 'strict $[*] ? (@.type() != "string")')
            THEN 'unique.fields must be a list of names'
        WHEN coalesce(given -> 'fields', '[]') @> '[""]' THEN 'unique.fields has an empty name'
        WHEN jsonb_typeof(coalesce(given -> 'payload', 'false')) <> 'boolean' THEN 'unique.payload must be true or false'
        WHEN (spec.unique_key IS NOT NULL)::integer + (coalesce(given -> 'payload', 'false') = 'true')::integer
             + (jsonb_array_length(coalesce(given -> 'fields', '[]')) > 0)::integer <> 1
            THEN 'unique needs one of unique_key, unique.fields and unique.payload'
        WHEN given ->> 'until' IS NOT NULL AND for_ms IS NOT NULL
            THEN 'unique.until cannot be given with unique.for: each says how long the key is held'
        WHEN wait_ms IS NOT NULL AND on_conflict = 'skip'
            THEN 'unique.longest_wait needs unique.on_conflict replace or keep_last'
        WHEN on_conflict = 'keep_last' AND while_state = 'queued'
            THEN 'unique.while must be live with keep_last, which has a place for the running job too'
        WHEN on_conflict = 'keep_last' AND (given ->> 'until' IS NOT NULL OR for_ms IS NOT NULL)
            THEN 'unique.until cannot be given with keep_last'
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    key := leasehold.unique_key_of(spec);
    rule := CASE WHEN on_conflict = 'keep_last' THEN 'keep_last' WHEN while_state = 'queued' THEN 'queued' END;
    until := coalesce((given ->> 'until')::timestamptz, now() + for_ms * interval '1 millisecond');
    longest_wait := wait_ms * interval '1 millisecond';
END
$$;
