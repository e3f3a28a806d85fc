-- enqueue_spec: validates and inserts one job. Every way to enqueue ends here, except for two statements of the client:
-- enqueue_new.sql and enqueue.sql insert many jobs at once, which lib/core has validated. A test checks that all of them
-- have the same columns and the same limits.
--
-- Guard:      an id (live or finished) and a live unique key each name one job. If there is such a job, the answer is this job,
--             and nothing is inserted.
-- Parameters: the job. A job without an id is new and gets an id. A job with an id may have been sent before.
-- Answer:     the id of the inserted or existing job, whether this call inserted it, and its state. Always one row.
-- Index:      job_pkey, job_unique_key, and the primary keys of the partitions of history.
-- Rights:     of the caller. The functions that users may call have the rights of the owner.
-- Two reads:  history is read after the INSERT, with a snapshot of its own. In the other order, a job that finishes between the
--             two steps would be in neither table and would run again. The read of history before the INSERT only saves the
--             INSERT for a job that is sent again.
-- Loop:       repeats only if the conflicting job finishes between the INSERT and the read of this job.
-- New words:  an attribute of leasehold.job_spec (a migration), its limit and its column here, its parameter in enqueue.sql.
--             Fields are set by name, so that a function from before the new attribute still works.
CREATE OR REPLACE FUNCTION leasehold.enqueue_spec(
    spec leasehold.job_spec, OUT id uuid, OUT inserted boolean, OUT state text
)
LANGUAGE plpgsql AS $$
DECLARE
    _id uuid := spec.id;
    may_exist boolean := coalesce(spec.may_exist, _id IS NOT NULL);
    _run_at timestamptz := coalesce(spec.run_at, now());
    bytes integer := octet_length(spec.payload::text);
    -- numeric, because an interval of many years has more milliseconds than an integer can hold.
    timeout_ms numeric := extract(epoch FROM spec.timeout) * 1000;
    wrong text;
    final text;
BEGIN
    wrong := CASE
        WHEN spec.kind IS NULL OR octet_length(spec.kind) > 128 OR spec.kind !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('kind %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(spec.kind, 200))
        WHEN spec.queue IS NULL OR octet_length(spec.queue) > 128 OR spec.queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('queue %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(spec.queue, 200))
        WHEN bytes IS NULL THEN 'payload is NULL; pass ''null'' for JSON''s null'
        WHEN bytes > 1048576
            THEN format('payload is %s bytes long; at most 1048576 are allowed', bytes)
        -- Most payloads are too short for 100 levels.
        WHEN bytes > 200 AND leasehold.is_deeper_than(spec.payload::text, 100)
            THEN 'payload is nested too deeply; at most 100 levels are allowed'
        WHEN spec.priority IS NULL OR spec.priority NOT BETWEEN -100 AND 100
            THEN format('priority is %s; it must be from -100 to 100', coalesce(spec.priority::text, 'NULL'))
        WHEN spec.max_attempts IS NULL OR spec.max_attempts NOT BETWEEN 1 AND 10000
            THEN format('max_attempts is %s; it must be from 1 to 10000', coalesce(spec.max_attempts::text, 'NULL'))
        WHEN _run_at < timestamptz '1970-01-01 00:00:00Z' OR _run_at >= timestamptz '10000-01-01 00:00:00Z'
            THEN format('run_at is %s; it must be a time after 1970 and before the year 10000', _run_at)
        WHEN timeout_ms < 1 OR timeout_ms > 2073600000
            THEN format('timeout is %s; it must be more than nothing and at most 24 days, in whole milliseconds', spec.timeout)
        WHEN octet_length(spec.unique_key) NOT BETWEEN 1 AND 512
            THEN format('unique_key is %s bytes long; it must be from 1 to 512', octet_length(spec.unique_key))
        WHEN octet_length(spec.limit_key) NOT BETWEEN 1 AND 512
            THEN format('limit_key is %s bytes long; it must be from 1 to 512', octet_length(spec.limit_key))
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(spec.depends_on) > 0 THEN
        -- enqueue_nodes locks the parents, and calls this function again without `depends_on`.
        SELECT n.id, n.inserted, n.state INTO id, inserted, state
        FROM leasehold.enqueue_nodes(json_build_array(row_to_json(spec))) n;
        RETURN;
    END IF;
    _id := coalesce(_id, leasehold.new_id());

    LOOP
        IF may_exist THEN
            SELECT h.id, h.state INTO id, state FROM leasehold.history h WHERE h.id = _id LIMIT 1;
            IF FOUND THEN
                inserted := false;
                RETURN;
            END IF;
        END IF;

        INSERT INTO leasehold.job AS j (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, timeout_ms,
                                        unique_key, limit_key, state, line_at, is_parent, unmet)
        VALUES (_id, spec.queue, spec.kind, spec.payload, spec.priority::smallint, _run_at, spec.max_attempts,
                coalesce(spec.max_crashes, 3)::smallint, trunc(timeout_ms)::integer, spec.unique_key, spec.limit_key,
                CASE WHEN spec.unmet > 0 THEN 'blocked' WHEN _run_at > now() THEN 'scheduled' ELSE 'queued' END::leasehold.job_state,
                leasehold.line_at(_run_at, spec.priority, spec.queue), spec.is_parent, spec.unmet)
        ON CONFLICT DO NOTHING
        RETURNING j.id, j.state INTO id, state;
        inserted := FOUND;
        IF inserted AND NOT may_exist THEN RETURN; END IF;

        IF inserted THEN
            -- With one snapshot for the whole transaction, the read would miss a job that has finished since then.
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'leasehold.enqueue: the caller can choose an id only in a READ COMMITTED transaction'
                    USING ERRCODE = 'feature_not_supported';
            END IF;
            SELECT h.state INTO final FROM leasehold.history h WHERE h.id = _id LIMIT 1;
            IF FOUND THEN
                DELETE FROM leasehold.job j WHERE j.id = _id;
                inserted := false;
                state := final;
            END IF;
            RETURN;
        END IF;

        SELECT j.id, j.state INTO id, state FROM leasehold.job j WHERE j.id = _id;
        IF FOUND THEN RETURN; END IF;
        SELECT j.id, j.state INTO id, state FROM leasehold.job j WHERE j.unique_key = spec.unique_key;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END
$$;
