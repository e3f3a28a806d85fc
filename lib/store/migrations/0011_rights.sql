-- Rights: what users call needs USAGE on the schema and EXECUTE on that one function; PUBLIC has nothing.

-- Each of them by itself, so that whoever may call one needs no right to call another.
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

-- A reaper makes and drops partitions, which only the owner of a table may.
ALTER FUNCTION leasehold.make_partition(date) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;
ALTER FUNCTION leasehold.drop_partition(interval) SECURITY DEFINER SET search_path = pg_catalog, pg_temp;

REVOKE EXECUTE ON ALL FUNCTIONS IN SCHEMA leasehold FROM PUBLIC;
-- It is part of indexes: whoever may write a job must be able to compute it. It reads nothing.
GRANT EXECUTE ON FUNCTION leasehold.is_off_clock(uuid, timestamptz) TO PUBLIC;
