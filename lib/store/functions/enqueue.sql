-- enqueue: one job, in the caller's own transaction: leasehold.enqueue(kind, payload, ...), for any language.
--
-- Guard:      as enqueue_spec.
-- Parameters: the fields of a job. A missing field has the same default as everywhere.
-- Answer:     the id of the job, or of the existing job in its place. A job that cannot be accepted fails with
--             invalid_parameter_value.
-- Rights:     of the owner: a caller needs USAGE on the schema and EXECUTE on the called overload.
-- Overloads:  three, because a literal or a string of a driver is `text`, and PostgreSQL does not convert between json and
--             jsonb in a call.
CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload json, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL,
    retry jsonb DEFAULT NULL, expires_at timestamptz DEFAULT NULL, "unique" jsonb DEFAULT NULL,
    on_parent_failure text DEFAULT 'cancel', batch text DEFAULT NULL, fair_key text DEFAULT NULL,
    traceparent text DEFAULT NULL, webhook text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    spec leasehold.job_spec;
BEGIN
    spec.id := id;
    spec.queue := queue;
    spec.kind := kind;
    spec.payload := payload;
    spec.priority := priority;
    spec.run_at := run_at;
    spec.max_attempts := max_attempts;
    spec.timeout := timeout;
    spec.unique_key := unique_key;
    spec.limit_key := limit_key;
    spec.depends_on := depends_on;
    spec.retry := retry;
    spec.expires_at := expires_at;
    spec."unique" := "unique";
    spec.on_parent_failure := on_parent_failure;
    spec.batch := batch;
    spec.fair_key := fair_key;
    spec.traceparent := traceparent;
    spec.webhook := webhook;
    RETURN (leasehold.enqueue_spec(spec)).id;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload jsonb, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL,
    retry jsonb DEFAULT NULL, expires_at timestamptz DEFAULT NULL, "unique" jsonb DEFAULT NULL,
    on_parent_failure text DEFAULT 'cancel', batch text DEFAULT NULL, fair_key text DEFAULT NULL,
    traceparent text DEFAULT NULL, webhook text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id, retry, expires_at, "unique", on_parent_failure, batch, fair_key, traceparent,
                             webhook);
END
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload text, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL,
    retry jsonb DEFAULT NULL, expires_at timestamptz DEFAULT NULL, "unique" jsonb DEFAULT NULL,
    on_parent_failure text DEFAULT 'cancel', batch text DEFAULT NULL, fair_key text DEFAULT NULL,
    traceparent text DEFAULT NULL, webhook text DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id, retry, expires_at, "unique", on_parent_failure, batch, fair_key, traceparent,
                             webhook);
END
$$;
