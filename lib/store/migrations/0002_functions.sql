-- What clients call in whatever language, and the few pieces that statements share.

-- A UUIDv7: 48 bits of milliseconds, then random bits with version and variant set.
CREATE FUNCTION leasehold.new_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;

-- One more entry on a job's trail; the newest 20 are kept.
CREATE FUNCTION leasehold.with_trail(trail jsonb, verb text, epoch integer, worker uuid, note text) RETURNS jsonb
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN jsonb_array_length(coalesce(trail, '[]')) >= 20 THEN trail - 0 ELSE coalesce(trail, '[]') END
        || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
               'at', now(), 'verb', verb, 'epoch', epoch, 'worker', worker, 'note', left(note, 1000))))
$$;

-- enqueue, for a job that may exist already.
--
-- Guard: an id (live or finished) and a live unique key each name one job. What is there already is
--   answered, nothing is inserted.
-- Why look twice: the INSERT comes first and history is read after it, each with a snapshot of its
--   own. The other way round, a job that finishes in between is in neither and would run again.
--   Reading history before as well only spares a resent job the insert.
-- Loops only when the job in the way finishes between the INSERT and the look at it.
CREATE FUNCTION leasehold.enqueue_checked(
    _id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint, _run_at timestamptz,
    _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text, _limit_key text,
    OUT id uuid, OUT inserted boolean, OUT state text
)
LANGUAGE plpgsql AS $$
DECLARE
    final text;
BEGIN
    LOOP
        inserted := false;
        IF _may_exist THEN
            SELECT h.id, h.state INTO id, state FROM leasehold.history h WHERE h.id = _id LIMIT 1;
            IF FOUND THEN RETURN; END IF;
        END IF;

        INSERT INTO leasehold.job AS j (id, queue, kind, payload, priority, run_at, max_attempts, max_crashes,
                                        timeout_ms, unique_key, limit_key, state)
        VALUES (_id, _queue, _kind, _payload, _priority, _run_at, _max_attempts, _max_crashes, _timeout_ms,
                _unique_key, _limit_key,
                CASE WHEN _run_at > now() THEN 'scheduled' ELSE 'queued' END::leasehold.job_state)
        ON CONFLICT DO NOTHING
        RETURNING j.id, j.state INTO id, state;
        inserted := FOUND;
        IF inserted AND NOT _may_exist THEN RETURN; END IF;

        IF inserted THEN
            -- With one snapshot for the whole transaction, a job finished since then would not be seen.
            IF current_setting('transaction_isolation') <> 'read committed' THEN
                RAISE EXCEPTION 'leasehold.enqueue: an id can be brought along only in a READ COMMITTED transaction'
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
        SELECT j.id, j.state INTO id, state FROM leasehold.job j WHERE j.unique_key = _unique_key;
        IF FOUND THEN RETURN; END IF;
    END LOOP;
END
$$;

-- leasehold.enqueue(kind, payload, …): one job, in the caller's own transaction.
-- Three of them, since a literal or a driver's string is `text`, and neither json nor jsonb turns
-- into the other by itself in a call.
CREATE FUNCTION leasehold.enqueue(
    kind text, payload json, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE plpgsql AS $$
DECLARE
    wrong text;
BEGIN
    wrong := CASE
        WHEN kind IS NULL OR kind !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$'
            THEN format('kind %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', kind)
        WHEN queue IS NULL OR queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$'
            THEN format('queue %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', queue)
        WHEN payload IS NULL THEN 'payload is NULL; pass ''null'' for JSON''s null'
        WHEN octet_length(payload::text) > 1048576
            THEN format('payload is %s bytes long; at most 1048576 are allowed', octet_length(payload::text))
        WHEN priority IS NULL OR priority NOT BETWEEN -100 AND 100
            THEN format('priority is %s; it must be from -100 to 100', coalesce(priority::text, 'NULL'))
        WHEN max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 10000
            THEN format('max_attempts is %s; it must be from 1 to 10000', coalesce(max_attempts::text, 'NULL'))
        WHEN run_at < 'epoch' OR run_at IN ('infinity', '-infinity')
            THEN format('run_at is %s; it must be a time after 1970', run_at)
        WHEN timeout <= interval '0' OR timeout > interval '24 days'
            THEN format('timeout is %s; it must be more than nothing and at most 24 days', timeout)
        WHEN octet_length(unique_key) NOT BETWEEN 1 AND 512
            THEN format('unique_key is %s bytes long; it must be from 1 to 512', octet_length(unique_key))
        WHEN octet_length(limit_key) NOT BETWEEN 1 AND 512
            THEN format('limit_key is %s bytes long; it must be from 1 to 512', octet_length(limit_key))
        WHEN cardinality(depends_on) > 0
            THEN 'depends_on is not supported by this version of the schema'
    END;
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN (leasehold.enqueue_checked(
        coalesce(id, leasehold.new_id()), id IS NOT NULL, queue, kind, payload, priority::smallint,
        coalesce(run_at, now()), max_attempts, 3::smallint,
        CASE WHEN timeout IS NOT NULL THEN greatest(1, (extract(epoch FROM timeout) * 1000)::integer) END,
        unique_key, limit_key)).id;
END
$$;

CREATE FUNCTION leasehold.enqueue(
    kind text, payload jsonb, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE sql AS $$
    SELECT leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout,
                             depends_on, limit_key, id)
$$;

CREATE FUNCTION leasehold.enqueue(
    kind text, payload text, queue text DEFAULT 'default', priority integer DEFAULT 0,
    run_at timestamptz DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL,
    timeout interval DEFAULT NULL, depends_on uuid[] DEFAULT NULL, limit_key text DEFAULT NULL, id uuid DEFAULT NULL
) RETURNS uuid
LANGUAGE sql AS $$
    SELECT leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout,
                             depends_on, limit_key, id)
$$;

-- cancel: many jobs at once. Answers the state of each after the call, for those that exist.
--
-- Guard: the row lock. Whoever gets it first, this or a claim, decides; the other one sees its result.
--   A job that waits is cancelled here. A running one is flagged, and its worker ends the run.
CREATE FUNCTION leasehold.cancel_batch(ids uuid[])
RETURNS TABLE (id uuid, queue text, state text, worker uuid, epoch integer, changed boolean)
LANGUAGE sql AS $$
    WITH target AS MATERIALIZED (
        SELECT j.id, j.state FROM leasehold.job j
        WHERE j.id = ANY (ids) ORDER BY j.id FOR UPDATE
    ), gone AS (
        DELETE FROM leasehold.job j
        WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state IN ('blocked', 'scheduled', 'queued')))
        RETURNING j.*
    ), kept AS (
        INSERT INTO leasehold.history (id, run_at, created_at, started_at, finished_at, epoch, attempt, max_attempts,
                                       timeout_ms, state, priority, crashes, max_crashes, queue, kind, payload,
                                       unique_key, limit_key, last_error, trail)
        SELECT g.id, g.run_at, g.created_at, g.started_at, now(), g.epoch, g.attempt, g.max_attempts,
               g.timeout_ms, 'cancelled', g.priority, g.crashes, g.max_crashes, g.queue, g.kind, g.payload,
               g.unique_key, g.limit_key, g.last_error, g.trail
        FROM gone g
        RETURNING history.id, history.queue, history.epoch
    ), flagged AS (
        -- CASE, since PostgreSQL first makes the new row from the version that its snapshot shows, checks it, and
        -- only then finds that there is a newer one to begin with: a job just claimed looks queued to it.
        UPDATE leasehold.job j
        SET cancel_requested_at = CASE WHEN j.state = 'running' THEN coalesce(j.cancel_requested_at, now()) END
        WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t WHERE t.state = 'running'))
        RETURNING j.id, j.queue, j.worker, j.epoch
    )
    SELECT k.id, k.queue, 'cancelled', NULL::uuid, k.epoch, true FROM kept k
    UNION ALL
    SELECT f.id, f.queue::text, 'running', f.worker, f.epoch, true FROM flagged f
    UNION ALL
    SELECT h.id, h.queue, h.state::text, NULL, h.epoch, false FROM leasehold.history h
    WHERE h.id = ANY (ids) AND NOT EXISTS (SELECT FROM target t WHERE t.id = h.id)
$$;

-- leasehold.cancel(id): the state of the job after the call. 'running' means that its worker is told.
CREATE FUNCTION leasehold.cancel(id uuid) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    answer text;
BEGIN
    -- Twice, since a job that finished between the snapshot and the lock is in neither table as seen by it.
    FOR look IN 1..2 LOOP
        SELECT c.state INTO answer FROM leasehold.cancel_batch(ARRAY[cancel.id]) c;
        IF FOUND THEN RETURN answer; END IF;
    END LOOP;
    RAISE EXCEPTION 'leasehold.cancel: no job has the id %', cancel.id USING ERRCODE = 'no_data_found';
END
$$;
