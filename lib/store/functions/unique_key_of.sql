-- unique_key_of: the unique key of a job: either the key that the caller gave, or a key made from the kind and some fields of
-- the payload.
--
-- Guard:      none, it reads no table.
-- Answer:     a key that the function makes is the kind, a colon, and the SHA-256 of the fields as jsonb. Order and spaces do
--             not matter; 1.0 and 1 differ. A field that the payload does not have counts as null. Only this function makes
--             keys, so every way to enqueue makes the same key.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.unique_key_of(spec leasehold.job_spec) RETURNS text
LANGUAGE plpgsql STABLE AS $$
DECLARE
    payload jsonb;
    content jsonb;
BEGIN
    IF spec."unique" -> 'payload' = 'true' OR jsonb_typeof(spec."unique" -> 'fields') = 'array' THEN
        BEGIN
            payload := spec.payload::jsonb;
        EXCEPTION WHEN data_exception THEN
            RAISE EXCEPTION 'leasehold.enqueue: payload: PostgreSQL can make no unique key of it (unique.fields, unique.payload): %', SQLERRM
                USING ERRCODE = 'invalid_parameter_value';
        END;
    END IF;
    IF spec."unique" -> 'payload' = 'true' THEN
        content := payload;
    ELSIF jsonb_typeof(spec."unique" -> 'fields') = 'array' AND jsonb_array_length(spec."unique" -> 'fields') > 0 THEN
        IF json_typeof(spec.payload) <> 'object' THEN
            RAISE EXCEPTION 'leasehold.enqueue: unique.fields needs a payload that is a JSON object'
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        SELECT jsonb_object_agg(f.name, payload -> f.name) INTO content
        FROM jsonb_array_elements_text(spec."unique" -> 'fields') AS f(name);
    ELSE
        RETURN spec.unique_key;
    END IF;
    RETURN spec.kind || ':' || encode(sha256(convert_to(content::text, 'UTF8')), 'hex');
END
$$;
