-- enqueue_spec: validates and inserts one job. Every way to enqueue ends here, except for two statements of the client:
-- enqueue_new.sql and enqueue.sql insert many jobs in one statement, after lib/core has validated them. A test checks that all of
-- them have the same columns and the same limits.
--
-- Guard:      an id (live or finished) and a live unique key each name one job. If such a job exists, the answer is this job, and
--             nothing is inserted. With `unique`, a job that waits may become the new one (`replaced`).
-- Parameters: the job. A job without an id is new and gets an id. A job with an id may have been sent before.
-- Answer:     the id of the inserted or existing job, whether this call inserted it or replaced its fields, and its state. Always one row.
-- Index:      job_pkey, job_unique_key, unique_period_pkey, and the primary keys of the partitions of history.
-- Rights:     of the caller. The functions that users may call have the rights of the owner.
-- Two reads:  history is read after the INSERT, with a new snapshot. In the other order, a job that finishes between the two
--             steps would be in neither table and would run again. The read of history before the INSERT only saves the INSERT
--             for a job that is sent again.
-- Loop:       repeats only if the conflicting job finishes, or frees its key, between the INSERT and the read of this job.
-- Periods:    a key that is held until a time has a row in unique_period. It is taken after the INSERT, so that only a job that
--             exists holds a key; the read before the INSERT only saves the INSERT of most jobs whose key is held.
-- Replaced:   a job that waits keeps its id, its created_at, and its place in the line if the new one is due too. Its attempts and
--             crashes start again.
-- Limits:     a job with limit keys waits behind the line if one of its keys has no room: see first_full_key and admit.
-- Traces:     a job with a traceparent has a row in trace. One that replaces another job does not change its trace.
-- Webhooks:   a job that names a webhook has a row in job_webhook. The name is looked up only for a job that this call writes: a job
--             that is sent again has its answer, also if the webhook has been removed since.
-- Shares:     a due job with a fair key is parked behind the line: see admit_fair.
-- New words:  an attribute of leasehold.job_spec (a migration), its limit and its column here, its parameter in enqueue.sql.
--             Fields are set by name, so that a function from before the new attribute still works.
CREATE OR REPLACE FUNCTION leasehold.enqueue_spec(
    spec leasehold.job_spec, OUT id uuid, OUT inserted boolean, OUT state text, OUT replaced boolean
)
LANGUAGE plpgsql AS $$
DECLARE
    _id uuid := spec.id;
    may_exist boolean := _id IS NOT NULL AND spec.id_is_new IS NOT TRUE;
    _run_at timestamptz := coalesce(spec.run_at, now());
    bytes integer := octet_length(spec.payload::text);
    -- numeric, because an interval of many years has more milliseconds than an integer can hold.
    timeout_ms numeric := extract(epoch FROM spec.timeout) * 1000;
    _unique_key text := spec.unique_key;
    _retry jsonb;
    _rule leasehold.unique_rule;
    held_until timestamptz;
    longest_wait interval;
    terms record;
    replaces boolean := false;
    holder uuid;
    keys text[];
    full_key text;
    is_full boolean := false;
    parks boolean;
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
        WHEN spec.expires_at < timestamptz '1970-01-01 00:00:00Z' OR spec.expires_at >= timestamptz '10000-01-01 00:00:00Z'
            THEN format('expires_at is %s; it must be a time after 1970 and before the year 10000', spec.expires_at)
        WHEN spec.expires_at <= spec.run_at AND spec.run_at > now()
            THEN 'expires_at is not after the earliest start: the job could never begin'
        WHEN octet_length(spec.unique_key) NOT BETWEEN 1 AND 512
            THEN format('unique_key is %s bytes long; it must be from 1 to 512', octet_length(spec.unique_key))
        WHEN octet_length(spec.batch) NOT BETWEEN 1 AND 512
            THEN format('batch is %s bytes long; it must be from 1 to 512', octet_length(spec.batch))
        WHEN octet_length(spec.fair_key) NOT BETWEEN 1 AND 512
            THEN format('fair_key is %s bytes long; it must be from 1 to 512', octet_length(spec.fair_key))
        WHEN spec.traceparent !~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$'
             OR spec.traceparent ~ '^00-(0{32}-|[0-9a-f]{32}-0{16}-)'
            THEN format('traceparent %L is not of the form 00-TRACE-PARENT-FLAGS', left(spec.traceparent, 100))
        WHEN octet_length(spec.limit_key) NOT BETWEEN 1 AND 512
            THEN format('limit_key is %s bytes long; it must be from 1 to 512', octet_length(spec.limit_key))
        WHEN spec.limit_keys IS NOT NULL THEN (
            SELECT CASE WHEN k.key IS NULL THEN 'limit_keys has a key that is NULL'
                        ELSE format('a key of limit_keys is %s bytes long; it must be from 1 to 512', octet_length(k.key)) END
            FROM unnest(spec.limit_keys) k(key)
            WHERE k.key IS NULL OR octet_length(k.key) NOT BETWEEN 1 AND 512 LIMIT 1)
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF cardinality(spec.depends_on) > 0 THEN
        -- enqueue_nodes locks the parents, and calls this function again without `depends_on`.
        SELECT n.id, n.inserted, n.state, n.replaced INTO id, inserted, state, replaced
        FROM leasehold.enqueue_nodes(json_build_array(row_to_json(spec))) n;
        RETURN;
    END IF;
    IF _id IS NULL THEN
        _id := leasehold.new_id();
    END IF;
    parks := spec.fair_key IS NOT NULL AND coalesce(spec.unmet, 0) = 0 AND _run_at <= now() AND leasehold.is_fair(spec.queue);
    IF spec.limit_key IS NOT NULL OR cardinality(spec.limit_keys) > 0 THEN
        SELECT array_agg(k.key ORDER BY k.nth) INTO keys
        FROM (SELECT g.key, min(g.nth) AS nth
              FROM unnest(spec.limit_key || coalesce(spec.limit_keys, '{}')) WITH ORDINALITY g(key, nth)
              WHERE g.key IS NOT NULL GROUP BY 1) k;
        IF cardinality(keys) > 8 THEN
            RAISE EXCEPTION 'leasehold.enqueue: limit_keys has % keys; at most 8 are allowed', cardinality(keys)
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        spec.limit_key := NULL;
        spec.limit_keys := keys;
        IF coalesce(spec.unmet, 0) = 0 AND _run_at <= now() AND NOT parks THEN
            SELECT f.key, f.is_full INTO full_key, is_full FROM leasehold.first_full_key(keys, spec.queue, spec.kind) f;
        END IF;
    END IF;
    replaced := false;
    IF spec.retry IS NOT NULL THEN
        _retry := leasehold.retry_terms(spec.retry);
    END IF;
    IF spec.traceparent IS NOT NULL OR spec.webhook IS NOT NULL THEN
        -- A claim reads the trace of a job, and an end of a job reads its webhook, only if `retry` has a value.
        _retry := coalesce(_retry, '{}');
    END IF;
    IF spec."unique" IS NOT NULL THEN
        terms := leasehold.unique_terms(spec);
        _unique_key := terms.key;
        _rule := terms.rule;
        held_until := terms.until;
        longest_wait := terms.longest_wait;
        replaces := terms.on_conflict <> 'skip';
    END IF;

    LOOP
        IF may_exist THEN
            SELECT h.id, h.state INTO id, state FROM leasehold.history h WHERE h.id = _id LIMIT 1;
            IF FOUND THEN
                inserted := false;
                RETURN;
            END IF;
        END IF;

        IF spec.batch IS NOT NULL THEN
            PERFORM leasehold.join_batch(spec.batch, _id);
        END IF;

        IF held_until IS NOT NULL THEN
            SELECT p.job INTO holder FROM leasehold.unique_period p
            WHERE p.key = _unique_key AND p.until > now() AND p.job <> _id;
        END IF;
        IF held_until IS NOT NULL AND FOUND THEN
            IF replaces THEN
                SELECT r.id, r.state INTO id, state
                FROM leasehold.replace_waiting(spec, holder, NULL, _retry, _rule, longest_wait) r;
                IF FOUND THEN inserted := false; replaced := true; RETURN; END IF;
            END IF;
            SELECT j.id, j.state::text INTO id, state FROM leasehold.jobs j WHERE j.id = holder;
            IF FOUND THEN inserted := false; RETURN; END IF;
            -- The job is so old that it was dropped from history.
            DELETE FROM leasehold.unique_period p WHERE p.key = _unique_key AND p.job = holder;
        END IF;

        INSERT INTO leasehold.job AS j (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes, timeout_ms,
                                        unique_key, limit_key, state, line_at, retry, expires_at, unique_rule,
                                        is_parent, unmet, limit_keys, limited_by, limited_at, batch, fair_key, fair_at)
        VALUES (_id, spec.queue, spec.kind, spec.payload, spec.priority::smallint, _run_at, spec.max_attempts,
                coalesce(spec.max_crashes, 3)::smallint, trunc(timeout_ms)::integer, _unique_key, spec.limit_key,
                CASE WHEN spec.unmet > 0 THEN 'blocked' WHEN _run_at > now() THEN 'scheduled' ELSE 'queued' END::leasehold.job_state,
                CASE WHEN is_full OR parks THEN 'infinity' ELSE leasehold.line_at(_run_at, spec.priority, spec.queue) END,
                _retry, spec.expires_at, _rule, spec.is_parent, spec.unmet, keys, full_key,
                CASE WHEN is_full THEN leasehold.line_at(_run_at, spec.priority, spec.queue) END, spec.batch,
                spec.fair_key, CASE WHEN parks THEN leasehold.line_at(_run_at, spec.priority, spec.queue) END)
        ON CONFLICT DO NOTHING
        RETURNING j.id, j.state INTO id, state;
        inserted := FOUND;
        IF inserted AND spec.traceparent IS NOT NULL THEN
            INSERT INTO leasehold.trace AS t (job, traceparent) VALUES (_id, spec.traceparent)
            ON CONFLICT (job) DO UPDATE SET traceparent = excluded.traceparent;
        END IF;
        IF inserted AND held_until IS NOT NULL THEN
            INSERT INTO leasehold.unique_period AS p (key, until, job) VALUES (_unique_key, held_until, _id)
            ON CONFLICT (key) DO UPDATE SET until = excluded.until, job = excluded.job
            WHERE p.until <= now() OR p.job = excluded.job;
            IF NOT FOUND THEN
                -- Another transaction has taken the key since the read.
                DELETE FROM leasehold.job j WHERE j.id = _id;
                CONTINUE;
            END IF;
        END IF;
        IF inserted AND may_exist THEN
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
                RETURN;
            END IF;
        END IF;
        IF inserted THEN
            IF spec.webhook IS NOT NULL THEN PERFORM leasehold.name_webhook(_id, spec.webhook); END IF;
            RETURN;
        END IF;

        SELECT j.id, j.state INTO id, state FROM leasehold.job j WHERE j.id = _id;
        IF FOUND THEN RETURN; END IF;
        IF replaces THEN
            SELECT r.id, r.state INTO id, state
            FROM leasehold.replace_waiting(spec, NULL, _unique_key, _retry, _rule, longest_wait) r;
            IF FOUND THEN replaced := true; RETURN; END IF;
        END IF;
        SELECT j.id, j.state INTO id, state FROM leasehold.job j WHERE j.unique_key = _unique_key;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END
$$;
