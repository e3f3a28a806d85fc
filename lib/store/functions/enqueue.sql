-- enqueue: one job, in the caller's own transaction: leasehold.enqueue(kind, payload, ...), for any language.
--
-- Guard:      as enqueue_spec.
-- Parameters: the words of a job. What is left out has the default that it has everywhere.
-- Answer:     the id that stands for the job. A job that cannot be accepted fails with invalid_parameter_value.
-- Rights:     of the owner: whoever calls it needs USAGE on the schema and EXECUTE on the overload that is called.
-- Overloads:  three, since a literal or a driver's string is `text`, and PostgreSQL turns neither json nor jsonb into the
--             other by itself in a call.
CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload json, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
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
    RETURN (leasehold.enqueue_spec(spec)).id;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload jsonb, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id);
END
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue(
    kind text, payload text, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id);
END
$$;
