-- read_job: reads a job from JSON with the fields of a line of `leasehold enqueue --stdin`.
--
-- Guard:      none, it reads no table.
-- Parameters: a JSON object.
-- Answer:     the job. enqueue_spec checks its values. An unknown field, or a value of the wrong type, fails with
--             invalid_parameter_value.
-- Payload:    stays unchanged, byte for byte. `payload_text` is the same as a string: PostgreSQL cannot take a part of JSON that
--             has an escape such as \u0000 anywhere.
-- New words:  a line here, and the name in the list.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.read_job(job json) RETURNS leasehold.job_spec
LANGUAGE plpgsql STABLE AS $$
DECLARE
    spec leasehold.job_spec;
    unknown text;
    wrong text;
    has_two_starts boolean;
    has_two_ends boolean;
BEGIN
    IF json_typeof(job) IS DISTINCT FROM 'object' THEN
        RAISE EXCEPTION 'leasehold.enqueue: a job must be a JSON object' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- PostgreSQL cannot take a part of JSON that has this escape anywhere. Two backslashes are a backslash, and no escape.
    IF strpos(job::text, '\u0000') > 0 AND job::text ~ '(^|[^\\])(\\\\)*\\u0000' THEN
        RAISE EXCEPTION 'leasehold.enqueue: the payload, or another word of a job, has the escape \u0000: PostgreSQL cannot read JSON with it; a payload may have it in SELECT leasehold.enqueue(…)'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    SELECT string_agg(k.name, ', ') FILTER (WHERE k.name <> ALL (
               ARRAY['id', 'id_is_new', 'queue', 'kind', 'payload', 'payload_text', 'priority', 'run_at', 'delay', 'max_attempts', 'max_crashes',
                     'timeout', 'unique_key', 'limit_key', 'limit_keys', 'depends_on', 'on_parent_failure', 'retry', 'expires_at',
                     'expires_in', 'unique', 'batch', 'fair_key', 'traceparent', 'webhook'])),
           min(k.name) FILTER (WHERE k.name = ANY (
               ARRAY['queue', 'kind', 'unique_key', 'limit_key', 'on_parent_failure', 'batch', 'fair_key', 'traceparent', 'webhook'])
               AND json_typeof(k.value) NOT IN ('string', 'null')),
           count(*) FILTER (WHERE k.name IN ('run_at', 'delay') AND json_typeof(k.value) <> 'null') > 1,
           count(*) FILTER (WHERE k.name IN ('expires_at', 'expires_in') AND json_typeof(k.value) <> 'null') > 1
    INTO unknown, wrong, has_two_starts, has_two_ends FROM json_each(job) AS k(name, value);
    IF unknown IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: a job has no word %', unknown USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: % must be a string', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF has_two_starts THEN
        RAISE EXCEPTION 'leasehold.enqueue: a job has run_at or delay, not both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF has_two_ends THEN
        RAISE EXCEPTION 'leasehold.enqueue: a job has expires_at or expires_in, not both' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    spec.id := (job ->> 'id')::uuid;
    spec.id_is_new := (job ->> 'id_is_new')::boolean;
    spec.queue := coalesce(job ->> 'queue', 'default');
    spec.kind := job ->> 'kind';
    spec.payload := coalesce((job ->> 'payload_text')::json, job -> 'payload', '{}');
    spec.priority := coalesce((job ->> 'priority')::integer, 0);
    spec.run_at := coalesce((job ->> 'run_at')::timestamptz,
        now() + leasehold.duration_ms((job -> 'delay')::jsonb, 'delay') * interval '1 millisecond');
    spec.max_attempts := coalesce((job ->> 'max_attempts')::integer, 5);
    spec.max_crashes := (job ->> 'max_crashes')::integer;
    spec.timeout := leasehold.duration_ms((job -> 'timeout')::jsonb, 'timeout') * interval '1 millisecond';
    spec.unique_key := job ->> 'unique_key';
    spec.limit_key := job ->> 'limit_key';
    IF json_typeof(job -> 'limit_keys') = 'array' THEN
        spec.limit_keys := ARRAY(SELECT k.key FROM json_array_elements_text(job -> 'limit_keys') WITH ORDINALITY AS k(key, nth) ORDER BY k.nth);
    ELSIF json_typeof(job -> 'limit_keys') <> 'null' THEN
        RAISE EXCEPTION 'leasehold.enqueue: limit_keys must be a list of keys' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF json_typeof(job -> 'depends_on') = 'array' THEN
        spec.depends_on := ARRAY(SELECT d.id::uuid FROM json_array_elements_text(job -> 'depends_on') AS d(id));
    ELSIF json_typeof(job -> 'depends_on') <> 'null' THEN
        RAISE EXCEPTION 'leasehold.enqueue: depends_on must be a list of ids' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    spec.on_parent_failure := job ->> 'on_parent_failure';
    -- enqueue_nodes checks this word only for a job that has parents.
    IF spec.on_parent_failure NOT IN ('cancel', 'hold', 'run') THEN
        RAISE EXCEPTION 'leasehold.enqueue: on_parent_failure is %; it must be cancel, hold or run',
            quote_literal(left(spec.on_parent_failure, 100)) USING ERRCODE = 'invalid_parameter_value';
    END IF;
    spec.retry := nullif((job -> 'retry')::jsonb, 'null');
    spec.expires_at := coalesce((job ->> 'expires_at')::timestamptz,
        now() + leasehold.duration_ms((job -> 'expires_in')::jsonb, 'expires_in') * interval '1 millisecond');
    spec."unique" := nullif((job -> 'unique')::jsonb, 'null');
    spec.batch := job ->> 'batch';
    spec.fair_key := job ->> 'fair_key';
    spec.traceparent := job ->> 'traceparent';
    spec.webhook := job ->> 'webhook';
    RETURN spec;
END
$$;
