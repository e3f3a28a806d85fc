-- enqueue_checked: enqueue_spec for clients, whose statements have one value for each column.
--
-- Guard:      as enqueue_spec.
-- Parameters: the columns of a job, with its id. `_may_exist` is not used: a given id may always exist.
-- Answer:     as enqueue_spec.
-- Rights:     of the owner: clients need no rights on tables.
-- Keep:       its parameters must not change: clients of earlier versions call this function at the same time as
--             newer clients.
CREATE OR REPLACE FUNCTION leasehold.enqueue_checked(
    _id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint, _run_at timestamptz,
    _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text, _limit_key text,
    OUT id uuid, OUT inserted boolean, OUT state text
)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    spec leasehold.job_spec;
    answer record;
BEGIN
    spec.id := _id;
    spec.queue := _queue;
    spec.kind := _kind;
    spec.payload := _payload;
    spec.priority := _priority;
    spec.run_at := _run_at;
    spec.max_attempts := _max_attempts;
    spec.max_crashes := _max_crashes;
    IF _timeout_ms IS NOT NULL THEN
        spec.timeout := _timeout_ms * interval '1 millisecond';
    END IF;
    spec.unique_key := _unique_key;
    spec.limit_key := _limit_key;
    -- An assignment costs less than a SELECT INTO.
    answer := leasehold.enqueue_spec(spec);
    id := answer.id;
    inserted := answer.inserted;
    state := answer.state;
END
$$;
