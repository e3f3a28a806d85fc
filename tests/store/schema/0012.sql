--
-- PostgreSQL database dump
--


-- Dumped from database version 15.18 (Debian 15.18-0+deb12u1)
-- Dumped by pg_dump version 15.18 (Debian 15.18-0+deb12u1)

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: leasehold; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA leasehold;


--
-- Name: job_state; Type: TYPE; Schema: leasehold; Owner: -
--

CREATE TYPE leasehold.job_state AS ENUM (
    'blocked',
    'scheduled',
    'queued',
    'running',
    'succeeded',
    'dead',
    'cancelled'
);


--
-- Name: key; Type: DOMAIN; Schema: leasehold; Owner: -
--

CREATE DOMAIN leasehold.key AS text
	CONSTRAINT key_is_1_to_512_bytes CHECK (((octet_length(VALUE) >= 1) AND (octet_length(VALUE) <= 512)));


--
-- Name: name; Type: DOMAIN; Schema: leasehold; Owner: -
--

CREATE DOMAIN leasehold.name AS text
	CONSTRAINT name_is_1_to_128_of_its_alphabet CHECK (((octet_length(VALUE) <= 128) AND (VALUE ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'::text)));


--
-- Name: payload; Type: DOMAIN; Schema: leasehold; Owner: -
--

CREATE DOMAIN leasehold.payload AS json
	CONSTRAINT payload_is_at_most_1_mib CHECK ((octet_length((VALUE)::text) <= 1048576));


--
-- Name: priority; Type: DOMAIN; Schema: leasehold; Owner: -
--

CREATE DOMAIN leasehold.priority AS smallint
	CONSTRAINT priority_is_from_minus_100_to_100 CHECK (((VALUE >= '-100'::integer) AND (VALUE <= 100)));


--
-- Name: cancel(uuid); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.cancel(id uuid) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: cancel_batch(uuid[]); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.cancel_batch(ids uuid[]) RETURNS TABLE(id uuid, queue text, state text, worker uuid, epoch integer, changed boolean)
    LANGUAGE sql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: drop_partition(interval); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.drop_partition(keep interval) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER
    SET lock_timeout TO '250ms'
    SET "TimeZone" TO 'UTC'
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    partition text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.history', 0)) THEN RETURN NULL; END IF;
    SELECT c.relname INTO partition
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'leasehold.history'::regclass AND c.relname ~ '^history_\d{4}_\d{2}_\d{2}$'
      AND (to_date(substr(c.relname, 9), 'YYYY_MM_DD') + 1)::timestamptz <= now() - keep
    ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE leasehold.%I', partition);
    END IF;
    RETURN partition;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$_$;


--
-- Name: enqueue(text, json, text, integer, timestamp with time zone, integer, text, interval, uuid[], text, uuid); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.enqueue(kind text, payload json, queue text DEFAULT 'default'::text, priority integer DEFAULT 0, run_at timestamp with time zone DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, depends_on uuid[] DEFAULT NULL::uuid[], limit_key text DEFAULT NULL::text, id uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
DECLARE
    wrong text;
    bytes integer := octet_length(payload::text);
    -- As a number without limits: an interval of many years is more ms than an integer holds.
    timeout_ms numeric := extract(epoch FROM timeout) * 1000;
BEGIN
    wrong := CASE
        WHEN kind IS NULL OR octet_length(kind) > 128 OR kind !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('kind %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(kind, 200))
        WHEN queue IS NULL OR octet_length(queue) > 128 OR queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]*$'
            THEN format('queue %L is no name: 1 to 128 letters, digits and . _ : / -, the first a letter, digit or _', left(queue, 200))
        WHEN payload IS NULL THEN 'payload is NULL; pass ''null'' for JSON''s null'
        WHEN bytes > 1048576
            THEN format('payload is %s bytes long; at most 1048576 are allowed', bytes)
        -- Most payloads are too short to be so deep.
        WHEN bytes > 200 AND leasehold.is_deeper_than(payload::text, 100)
            THEN 'payload is nested too deeply; at most 100 levels are allowed'
        WHEN priority IS NULL OR priority NOT BETWEEN -100 AND 100
            THEN format('priority is %s; it must be from -100 to 100', coalesce(priority::text, 'NULL'))
        WHEN max_attempts IS NULL OR max_attempts NOT BETWEEN 1 AND 10000
            THEN format('max_attempts is %s; it must be from 1 to 10000', coalesce(max_attempts::text, 'NULL'))
        WHEN run_at < timestamptz '1970-01-01 00:00:00Z' OR run_at >= timestamptz '10000-01-01 00:00:00Z'
            THEN format('run_at is %s; it must be a time after 1970 and before the year 10000', run_at)
        WHEN timeout_ms < 1 OR timeout_ms > 2073600000
            THEN format('timeout is %s; it must be more than nothing and at most 24 days, in whole milliseconds', timeout)
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
        coalesce(run_at, now()), max_attempts, 3::smallint, trunc(timeout_ms)::integer, unique_key, limit_key)).id;
END
$_$;


--
-- Name: enqueue(text, jsonb, text, integer, timestamp with time zone, integer, text, interval, uuid[], text, uuid); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.enqueue(kind text, payload jsonb, queue text DEFAULT 'default'::text, priority integer DEFAULT 0, run_at timestamp with time zone DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, depends_on uuid[] DEFAULT NULL::uuid[], limit_key text DEFAULT NULL::text, id uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id);
END
$$;


--
-- Name: enqueue(text, text, text, integer, timestamp with time zone, integer, text, interval, uuid[], text, uuid); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.enqueue(kind text, payload text, queue text DEFAULT 'default'::text, priority integer DEFAULT 0, run_at timestamp with time zone DEFAULT now(), max_attempts integer DEFAULT 5, unique_key text DEFAULT NULL::text, timeout interval DEFAULT NULL::interval, depends_on uuid[] DEFAULT NULL::uuid[], limit_key text DEFAULT NULL::text, id uuid DEFAULT NULL::uuid) RETURNS uuid
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
BEGIN
    RETURN leasehold.enqueue(kind, payload::json, queue, priority, run_at, max_attempts, unique_key, timeout, depends_on,
                             limit_key, id);
END
$$;


--
-- Name: enqueue_checked(uuid, boolean, text, text, json, smallint, timestamp with time zone, integer, smallint, integer, text, text); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.enqueue_checked(_id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint, _run_at timestamp with time zone, _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text, _limit_key text, OUT id uuid, OUT inserted boolean, OUT state text) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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


--
-- Name: enqueue_unless_held(uuid[], text[], text[], text[], smallint[], timestamp with time zone[], bigint[], integer[], smallint[], integer[], text[], text[]); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.enqueue_unless_held(_ids uuid[], _queues text[], _kinds text[], _payloads text[], _priorities smallint[], _run_ats timestamp with time zone[], _delays_ms bigint[], _max_attempts integer[], _max_crashes smallint[], _timeouts_ms integer[], _unique_keys text[], _limit_keys text[]) RETURNS TABLE(nth bigint, id uuid, inserted boolean, state text, held boolean)
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '20ms'
    AS $$
DECLARE
    job record;
    held_so_far integer := 0;
BEGIN
    FOR job IN
        SELECT *
        FROM unnest(_ids, _queues, _kinds, _payloads, _priorities, _run_ats, _delays_ms, _max_attempts, _max_crashes,
                    _timeouts_ms, _unique_keys, _limit_keys) WITH ORDINALITY
                 AS s(id, queue, kind, payload, priority, run_at, delay_ms, max_attempts, max_crashes, timeout_ms,
                      unique_key, limit_key, nth)
        ORDER BY s.unique_key NULLS FIRST, s.id
    LOOP
        nth := job.nth;
        BEGIN
            SELECT c.id, c.inserted, c.state INTO id, inserted, state
            FROM leasehold.enqueue_checked(
                job.id, true, job.queue, job.kind, job.payload::json, job.priority,
                coalesce(job.run_at, now() + job.delay_ms * interval '1 millisecond', now()),
                job.max_attempts, job.max_crashes, job.timeout_ms, job.unique_key, job.limit_key) c;
            held := false;
        EXCEPTION WHEN lock_not_available THEN
            held_so_far := held_so_far + 1;
            IF held_so_far = 5 THEN PERFORM set_config('lock_timeout', '1ms', true); END IF;
            id := job.id; inserted := false; state := NULL; held := true;
        END;
        RETURN NEXT;
    END LOOP;
END
$$;


--
-- Name: first_id_at(timestamp with time zone); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.first_id_at(at timestamp with time zone) RETURNS uuid
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT rpad(encode(int8send((date_part('epoch', least(greatest(at, timestamptz '1970-01-01 00:00:00+00'),
                                                          timestamptz '6000-01-01 00:00:00+00')
                                            - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint << 16), 'hex'), 32, '0')::uuid
$$;


--
-- Name: is_deeper_than(text, integer); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.is_deeper_than(json text, levels integer) RETURNS boolean
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
DECLARE
    brackets text;
BEGIN
    IF length(json) - length(translate(json, '[{', '')) <= levels THEN RETURN false; END IF;
    brackets := regexp_replace(json, '"(?:[^"\\]|\\.)*"', '', 'g');
    brackets := translate(regexp_replace(brackets, '[^][{}]+', '', 'g'), '{}', '[]');
    -- Each round takes away the innermost level.
    FOR level IN 1..levels LOOP
        EXIT WHEN brackets = '';
        brackets := replace(brackets, '[]', '');
    END LOOP;
    RETURN brackets <> '';
END
$$;


--
-- Name: is_off_clock(uuid, timestamp with time zone); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.is_off_clock(id uuid, created_at timestamp with time zone) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    -- date_part of an interval, since that of a timestamptz may depend on the time zone.
    SELECT CASE WHEN isfinite(created_at)
        THEN abs(('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint
                 - (date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint) > 2000
        ELSE true END
$$;


--
-- Name: make_partition(date); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.make_partition(day date, OUT answer text, OUT moved bigint) RETURNS record
    LANGUAGE plpgsql SECURITY DEFINER
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET lock_timeout TO '250ms'
    SET "TimeZone" TO 'UTC'
    AS $_$
DECLARE
    partition text := 'history_' || to_char(day, 'YYYY_MM_DD');
BEGIN
    moved := 0;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    -- Some 10,000 rows are moved in a quarter of a second.
    IF (SELECT count(*) FROM (
            SELECT FROM leasehold.history_default d
            WHERE d.finished_at >= day::timestamptz AND d.finished_at < (day + 1)::timestamptz
            LIMIT 10001) first_ones) > 10000 THEN
        answer := 'full';
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.history', 0)) THEN
        answer := 'busy';
        RETURN;
    END IF;
    -- Again, now that nobody else makes one. The lock on the table makes this connection hear of those made meanwhile: without,
    -- it may go by what it knew before.
    LOCK TABLE leasehold.history IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    -- Nothing may land in the default partition between the move and the attaching.
    LOCK TABLE leasehold.history_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE leasehold.%I (LIKE leasehold.history INCLUDING ALL)', partition);
    EXECUTE format('WITH moved AS (DELETE FROM leasehold.history_default WHERE finished_at >= %1$L AND finished_at < %2$L RETURNING *)
                    INSERT INTO leasehold.%3$I SELECT * FROM moved', day::timestamptz, (day + 1)::timestamptz, partition);
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('ALTER TABLE leasehold.history ATTACH PARTITION leasehold.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, day::timestamptz, (day + 1)::timestamptz);
    answer := 'made';
EXCEPTION WHEN lock_not_available THEN
    answer := 'busy';
    moved := 0;
END
$_$;


--
-- Name: new_id(); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.new_id() RETURNS uuid
    LANGUAGE sql PARALLEL SAFE
    AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;


--
-- Name: time_of_id(uuid); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.time_of_id(id uuid) RETURNS timestamp with time zone
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    AS $$
    SELECT CASE WHEN get_byte(uuid_send(id), 6) >> 4 = 7
        THEN timestamptz '1970-01-01 00:00:00+00'
             + ('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint * interval '1 millisecond'
        ELSE timestamptz '-infinity' END
$$;


--
-- Name: with_trail(jsonb, text, integer, uuid, text); Type: FUNCTION; Schema: leasehold; Owner: -
--

CREATE FUNCTION leasehold.with_trail(trail jsonb, verb text, epoch integer, worker uuid, note text) RETURNS jsonb
    LANGUAGE sql STABLE PARALLEL SAFE
    AS $$
    SELECT CASE WHEN jsonb_array_length(coalesce(trail, '[]')) >= 20 THEN trail - 0 ELSE coalesce(trail, '[]') END
        || jsonb_build_array(jsonb_strip_nulls(jsonb_build_object(
               'at', now(), 'verb', verb, 'epoch', epoch, 'worker', worker, 'note', left(note, 1000))))
$$;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: deferred_settle; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.deferred_settle (
    id uuid NOT NULL,
    epoch integer NOT NULL,
    worker uuid NOT NULL,
    queue leasehold.name NOT NULL,
    verb text NOT NULL,
    text text,
    delay_ms bigint DEFAULT 0 NOT NULL,
    deferred_at timestamp with time zone DEFAULT now() NOT NULL,
    CONSTRAINT verb_ends_a_run CHECK ((verb = ANY (ARRAY['complete'::text, 'retry'::text, 'snooze'::text, 'release'::text, 'bury'::text, 'cancel'::text])))
);


--
-- Name: history; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
)
PARTITION BY RANGE (finished_at);


--
-- Name: history_2026_11_28; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history_2026_11_28 (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
);


--
-- Name: history_2026_11_29; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history_2026_11_29 (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
);


--
-- Name: history_2026_11_30; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history_2026_11_30 (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
);


--
-- Name: history_2026_12_01; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history_2026_12_01 (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
);


--
-- Name: history_default; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.history_default (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    started_at timestamp with time zone,
    finished_at timestamp with time zone NOT NULL,
    worker uuid,
    epoch integer NOT NULL,
    attempt integer NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority smallint NOT NULL,
    crashes smallint NOT NULL,
    max_crashes smallint NOT NULL,
    queue text NOT NULL,
    kind text NOT NULL,
    payload json NOT NULL,
    result json,
    unique_key text,
    limit_key text,
    last_error text,
    trail jsonb,
    CONSTRAINT finished_jobs_only CHECK ((state = ANY (ARRAY['succeeded'::leasehold.job_state, 'dead'::leasehold.job_state, 'cancelled'::leasehold.job_state]))),
    CONSTRAINT result_only_of_success CHECK (((result IS NULL) OR (state = 'succeeded'::leasehold.job_state))),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (((state <> 'succeeded'::leasehold.job_state) OR ((worker IS NOT NULL) AND (epoch > 0))))
);


--
-- Name: job; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.job (
    id uuid NOT NULL,
    run_at timestamp with time zone NOT NULL,
    created_at timestamp with time zone DEFAULT now() NOT NULL,
    started_at timestamp with time zone,
    lease_expires_at timestamp with time zone,
    cancel_requested_at timestamp with time zone,
    worker uuid,
    epoch integer DEFAULT 0 NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    max_attempts integer NOT NULL,
    timeout_ms integer,
    state leasehold.job_state NOT NULL,
    priority leasehold.priority NOT NULL,
    crashes smallint DEFAULT 0 NOT NULL,
    max_crashes smallint NOT NULL,
    queue leasehold.name NOT NULL,
    kind leasehold.name NOT NULL,
    payload leasehold.payload NOT NULL,
    unique_key leasehold.key,
    limit_key leasehold.key,
    last_error text,
    trail jsonb,
    CONSTRAINT attempts_never_pass_claims CHECK ((attempt <= epoch)),
    CONSTRAINT attempts_within_limit CHECK (((attempt >= 0) AND (attempt <= max_attempts))),
    CONSTRAINT cancel_wanted_only_while_running CHECK (((cancel_requested_at IS NULL) OR (state = 'running'::leasehold.job_state))),
    CONSTRAINT crashes_within_limit CHECK (((crashes >= 0) AND (crashes <= (max_crashes - 1)))),
    CONSTRAINT lease_exactly_while_running CHECK (((lease_expires_at IS NOT NULL) = (state = 'running'::leasehold.job_state))),
    CONSTRAINT live_jobs_only CHECK ((state = ANY (ARRAY['blocked'::leasehold.job_state, 'scheduled'::leasehold.job_state, 'queued'::leasehold.job_state, 'running'::leasehold.job_state]))),
    CONSTRAINT max_attempts_is_from_1_to_10000 CHECK (((max_attempts >= 1) AND (max_attempts <= 10000))),
    CONSTRAINT running_was_claimed CHECK (((state <> 'running'::leasehold.job_state) OR ((epoch > 0) AND (attempt > 0) AND (started_at IS NOT NULL)))),
    CONSTRAINT timeout_is_positive CHECK ((timeout_ms > 0)),
    CONSTRAINT waiting_has_an_attempt_left CHECK (((state = 'running'::leasehold.job_state) OR (attempt < max_attempts))),
    CONSTRAINT worker_exactly_while_running CHECK (((worker IS NOT NULL) = (state = 'running'::leasehold.job_state)))
)
WITH (autovacuum_vacuum_threshold='2000', autovacuum_vacuum_scale_factor='0.05', autovacuum_analyze_threshold='2000', autovacuum_analyze_scale_factor='0.1', autovacuum_vacuum_cost_delay='0', fillfactor='50');


--
-- Name: jobs; Type: VIEW; Schema: leasehold; Owner: -
--

CREATE VIEW leasehold.jobs AS
 SELECT job.id,
    (job.queue)::text AS queue,
    (job.kind)::text AS kind,
    (job.state)::text AS state,
    (job.priority)::smallint AS priority,
    (job.payload)::json AS payload,
    NULL::json AS result,
    job.last_error,
    job.attempt,
    job.max_attempts,
    job.crashes,
    job.epoch,
    job.worker,
    job.run_at,
    job.created_at,
    job.started_at,
    NULL::timestamp with time zone AS finished_at,
    job.lease_expires_at,
    (job.unique_key)::text AS unique_key,
    (job.limit_key)::text AS limit_key,
    job.max_crashes,
    job.timeout_ms,
    job.cancel_requested_at,
    job.trail
   FROM leasehold.job
UNION ALL
 SELECT history.id,
    history.queue,
    history.kind,
    (history.state)::text AS state,
    history.priority,
    history.payload,
    history.result,
    history.last_error,
    history.attempt,
    history.max_attempts,
    history.crashes,
    history.epoch,
    history.worker,
    history.run_at,
    history.created_at,
    history.started_at,
    history.finished_at,
    NULL::timestamp with time zone AS lease_expires_at,
    history.unique_key,
    history.limit_key,
    history.max_crashes,
    history.timeout_ms,
    NULL::timestamp with time zone AS cancel_requested_at,
    history.trail
   FROM leasehold.history;


--
-- Name: VIEW jobs; Type: COMMENT; Schema: leasehold; Owner: -
--

COMMENT ON VIEW leasehold.jobs IS 'Every job, live and finished.';


--
-- Name: migration; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.migration (
    version bigint NOT NULL,
    description text NOT NULL,
    installed_on timestamp with time zone DEFAULT now() NOT NULL,
    success boolean NOT NULL,
    checksum bytea NOT NULL,
    execution_time bigint NOT NULL
);


--
-- Name: queue; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.queue (
    name leasehold.name NOT NULL,
    paused_at timestamp with time zone
);


--
-- Name: watch; Type: TABLE; Schema: leasehold; Owner: -
--

CREATE TABLE leasehold.watch (
    one_row boolean DEFAULT true NOT NULL,
    kept_at timestamp with time zone NOT NULL,
    CONSTRAINT watch_has_one_row CHECK (one_row)
)
WITH (fillfactor='10');


--
-- Name: history_2026_11_28; Type: TABLE ATTACH; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history ATTACH PARTITION leasehold.history_2026_11_28 FOR VALUES FROM ('2026-11-28 00:00:00+00') TO ('2026-11-29 00:00:00+00');


--
-- Name: history_2026_11_29; Type: TABLE ATTACH; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history ATTACH PARTITION leasehold.history_2026_11_29 FOR VALUES FROM ('2026-11-29 00:00:00+00') TO ('2026-11-30 00:00:00+00');


--
-- Name: history_2026_11_30; Type: TABLE ATTACH; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history ATTACH PARTITION leasehold.history_2026_11_30 FOR VALUES FROM ('2026-11-30 00:00:00+00') TO ('2026-12-01 00:00:00+00');


--
-- Name: history_2026_12_01; Type: TABLE ATTACH; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history ATTACH PARTITION leasehold.history_2026_12_01 FOR VALUES FROM ('2026-12-01 00:00:00+00') TO ('2026-12-02 00:00:00+00');


--
-- Name: history_default; Type: TABLE ATTACH; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history ATTACH PARTITION leasehold.history_default DEFAULT;


--
-- Data for Name: deferred_settle; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.deferred_settle VALUES ('01890000-0000-7000-8000-000000000014', 1, '01890000-0000-7000-8000-0000000000ff', 'default', 'complete', '"late"', 0, '2026-11-28 19:56:49.300106+00');


--
-- Data for Name: history_2026_11_28; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.history_2026_11_28 VALUES ('01890000-0000-7000-8000-000000000021', '2026-11-28 19:56:49.310484+00', '2026-11-28 19:56:49.310484+00', NULL, '2026-11-28 19:56:49.324181+00', NULL, 0, 0, 5, NULL, 'cancelled', 0, 0, 3, 'default', 'cancelled', '{}', NULL, 'u2b', NULL, NULL, NULL);
INSERT INTO leasehold.history_2026_11_28 VALUES ('01890000-0000-7000-8000-000000000022', '2026-11-28 19:56:49.33222+00', '2026-11-28 19:56:49.33222+00', '2026-11-28 19:56:49.33222+00', '2026-11-28 19:56:49.33222+00', '01890000-0000-7000-8000-0000000000ff', 1, 1, 5, NULL, 'succeeded', 0, 0, 3, 'default', 'succeeded', '{}', '{"ok": true}', 'u1', NULL, NULL, NULL);


--
-- Data for Name: history_2026_11_29; Type: TABLE DATA; Schema: leasehold; Owner: -
--



--
-- Data for Name: history_2026_11_30; Type: TABLE DATA; Schema: leasehold; Owner: -
--



--
-- Data for Name: history_2026_12_01; Type: TABLE DATA; Schema: leasehold; Owner: -
--



--
-- Data for Name: history_default; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.history_default VALUES ('01890000-0000-7000-8000-000000000023', '2026-11-28 19:56:49.33222+00', '2026-11-28 19:56:49.33222+00', '2026-11-28 19:56:49.33222+00', '2026-01-01 00:00:00+00', '01890000-0000-7000-8000-0000000000ff', 5, 5, 5, NULL, 'dead', 0, 0, 3, 'default', 'dead', '{}', NULL, NULL, NULL, 'it failed', NULL);


--
-- Data for Name: job; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000001', '2026-11-28 19:56:49.124222+00', '2026-11-28 19:56:49.124222+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'queued', 0, 0, 3, 'default', 'plain', '{"n": 1}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000002', '2026-11-28 19:56:49.145692+00', '2026-11-28 19:56:49.145692+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'queued', 50, 0, 3, 'default', 'urgent', '[1, 2]', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000003', '2026-11-28 19:56:49.15621+00', '2026-11-28 19:56:49.15621+00', NULL, NULL, NULL, NULL, 0, 0, 5, 90000, 'queued', 0, 0, 3, 'default', 'keyed', '"x"', 'u1', 'l1', NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000004', '2026-11-28 19:56:49.164943+00', '2026-11-28 19:56:49.164943+00', NULL, NULL, NULL, NULL, 2, 2, 5, NULL, 'queued', 0, 2, 3, 'default', 'crashed', 'null', NULL, NULL, NULL, '[{"at": "2026-11-28T19:56:49.176172+00:00", "verb": "expire", "epoch": 2, "worker": "01890000-0000-7000-8000-0000000000ff"}]');
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000005', '2026-11-28 19:56:49.180229+00', '2026-11-28 19:56:49.180229+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'queued', 0, 0, 3, 'paused', 'plain', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000006', '2999-01-01 00:00:00+00', '2026-11-28 19:56:49.210259+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'scheduled', 0, 0, 3, 'default', 'later', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000007', '2026-01-01 00:00:00+00', '2026-01-01 00:00:00+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'scheduled', 0, 0, 3, 'default', 'due', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000008', '2026-11-28 19:56:49.236162+00', '2026-11-28 19:56:49.236162+00', NULL, NULL, NULL, NULL, 0, 0, 5, NULL, 'blocked', 0, 0, 3, 'default', 'blocked', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000011', '2026-11-28 19:56:49.253582+00', '2026-11-28 19:56:49.253582+00', '2026-11-28 19:56:49.288151+00', '2999-01-01 00:00:00+00', NULL, '01890000-0000-7000-8000-0000000000ff', 1, 1, 5, NULL, 'running', 0, 0, 3, 'default', 'running', '{}', 'u2', NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000012', '2026-11-28 19:56:49.260032+00', '2026-11-28 19:56:49.260032+00', '2026-11-28 19:56:49.288151+00', '2999-01-01 00:00:00+00', '2026-11-28 19:56:49.288151+00', '01890000-0000-7000-8000-0000000000ff', 1, 1, 5, NULL, 'running', 0, 0, 3, 'default', 'unwanted', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000013', '2026-11-28 19:56:49.26412+00', '2026-11-28 19:56:49.26412+00', '2026-11-28 19:56:49.288151+00', '2026-01-01 00:00:00+00', NULL, '01890000-0000-7000-8000-0000000000ff', 1, 1, 5, NULL, 'running', 0, 0, 3, 'default', 'lapsed', '{}', NULL, NULL, NULL, NULL);
INSERT INTO leasehold.job VALUES ('01890000-0000-7000-8000-000000000014', '2026-11-28 19:56:49.280143+00', '2026-11-28 19:56:49.280143+00', '2026-11-28 19:56:49.288151+00', '2999-01-01 00:00:00+00', NULL, '01890000-0000-7000-8000-0000000000ff', 1, 1, 5, NULL, 'running', 0, 0, 3, 'default', 'deferred', '{}', NULL, NULL, NULL, NULL);


--
-- Data for Name: migration; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.migration VALUES (1, 'jobs', '2026-11-28 19:56:48.604859+00', true, '\x43286e077070c3ed152cab0d9678f1b1b84ee81e50977c5a1bef543af21d4badc7c47064a247f4efcbaae3fef580fc25', -1);
INSERT INTO leasehold.migration VALUES (2, 'functions', '2026-11-28 19:56:48.604859+00', true, '\x24389c024f8145b868975ec44eaa662bd1a7bbba1270ecd15aa1591344e513e260946a00833e73c08715b3be846c9314', -1);
INSERT INTO leasehold.migration VALUES (3, 'partitions', '2026-11-28 19:56:48.604859+00', true, '\x4db555de9e51ff8a1893180fe25cc66d9384dc7d01b71e41518012f3147762d78c8374a2afcf4b07bec69a0f7b9a0a64', -1);
INSERT INTO leasehold.migration VALUES (4, 'jobs in danger', '2026-11-28 19:56:48.604859+00', true, '\x4eb9c10067eeee83b7cd5c2af28c11f5ac219b2174098b90ba251cbee4b76a7bc8c4070f68088f6733be36731b89ac21', -1);
INSERT INTO leasehold.migration VALUES (5, 'less for each job', '2026-11-28 19:56:48.604859+00', true, '\xb0baf14b26e9766b6352bc5bc8a3785ca7aeaaed92f0f9ffd8abf5286c6b67539230f786cb06236e07bb6945a4bcec7b', -1);
INSERT INTO leasehold.migration VALUES (6, 'deferred settles', '2026-11-28 19:56:48.604859+00', true, '\x91d75f0b86a357080006c7c81f42901f96db59707f7e832bcb02d0e39e5dc072de40ea597b31220527c60b29f2b27d35', -1);
INSERT INTO leasehold.migration VALUES (7, 'watch', '2026-11-28 19:56:48.604859+00', true, '\x817fb1e6c2a10de4202977f9daa051eeb1c30d35bc6b1d049c534d1195d6b5edaa695f5b51000a8edb1f65569800179d', -1);
INSERT INTO leasehold.migration VALUES (8, 'one set of limits', '2026-11-28 19:56:48.604859+00', true, '\x37ec2c90623a6939ddeb9d8743e664cc7f6b52526217c900d6cb3c346f08a35f00f36a1947894abd91f590183993dcc2', -1);
INSERT INTO leasehold.migration VALUES (9, 'newest first', '2026-11-28 19:56:48.604859+00', true, '\x658dde94f50e9e344d1ce0de228a1edae89d28e0b0bfc0d240b2030781c39b4c55b4ce8e2347907297025fc0a04451e0', -1);
INSERT INTO leasehold.migration VALUES (10, 'held keys', '2026-11-28 19:56:48.604859+00', true, '\xa526535d675dcce6d1f9aefe1010374e860da5fd59a50311c1fde3928f61b2062720057c6be32ad8c5a47cb3479b3fc6', -1);
INSERT INTO leasehold.migration VALUES (11, 'rights', '2026-11-28 19:56:48.604859+00', true, '\xe2490637a3eba268e4d62ee7056c6577dbd04d274e38ec3009427bd98181704f7f35594b71be477ea82953ac40829978', -1);
INSERT INTO leasehold.migration VALUES (12, 'partitions of full days', '2026-11-28 19:56:48.604859+00', true, '\x1aa5b188c9e3fb53d75789813541c4b5b68d8de5b65e4fca302070881043e4945384bd4a362e02f268b2dfbcbeffb6fa', -1);


--
-- Data for Name: queue; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.queue VALUES ('paused', '2026-11-28 19:56:49.19484+00');
INSERT INTO leasehold.queue VALUES ('resumed', NULL);


--
-- Data for Name: watch; Type: TABLE DATA; Schema: leasehold; Owner: -
--

INSERT INTO leasehold.watch VALUES (true, '2026-11-28 19:56:49.342738+00');


--
-- Name: deferred_settle deferred_settle_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.deferred_settle
    ADD CONSTRAINT deferred_settle_pkey PRIMARY KEY (id, epoch);


--
-- Name: history history_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history
    ADD CONSTRAINT history_pkey PRIMARY KEY (id, finished_at);


--
-- Name: history_2026_11_28 history_2026_11_28_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history_2026_11_28
    ADD CONSTRAINT history_2026_11_28_pkey PRIMARY KEY (id, finished_at);


--
-- Name: history_2026_11_29 history_2026_11_29_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history_2026_11_29
    ADD CONSTRAINT history_2026_11_29_pkey PRIMARY KEY (id, finished_at);


--
-- Name: history_2026_11_30 history_2026_11_30_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history_2026_11_30
    ADD CONSTRAINT history_2026_11_30_pkey PRIMARY KEY (id, finished_at);


--
-- Name: history_2026_12_01 history_2026_12_01_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history_2026_12_01
    ADD CONSTRAINT history_2026_12_01_pkey PRIMARY KEY (id, finished_at);


--
-- Name: history_default history_default_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.history_default
    ADD CONSTRAINT history_default_pkey PRIMARY KEY (id, finished_at);


--
-- Name: job job_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.job
    ADD CONSTRAINT job_pkey PRIMARY KEY (id);


--
-- Name: migration migration_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.migration
    ADD CONSTRAINT migration_pkey PRIMARY KEY (version);


--
-- Name: queue queue_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.queue
    ADD CONSTRAINT queue_pkey PRIMARY KEY (name);


--
-- Name: watch watch_pkey; Type: CONSTRAINT; Schema: leasehold; Owner: -
--

ALTER TABLE ONLY leasehold.watch
    ADD CONSTRAINT watch_pkey PRIMARY KEY (one_row);


--
-- Name: history_off_clock; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_off_clock ON ONLY leasehold.history USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_2026_11_28_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_28_created_at_id_idx ON leasehold.history_2026_11_28 USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_finished; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_finished ON ONLY leasehold.history USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_2026_11_28_finished_at_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_28_finished_at_idx ON leasehold.history_2026_11_28 USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_ended_badly; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_ended_badly ON ONLY leasehold.history USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: history_2026_11_28_state_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_28_state_created_at_id_idx ON leasehold.history_2026_11_28 USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: history_2026_11_29_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_29_created_at_id_idx ON leasehold.history_2026_11_29 USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_2026_11_29_finished_at_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_29_finished_at_idx ON leasehold.history_2026_11_29 USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_2026_11_29_state_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_29_state_created_at_id_idx ON leasehold.history_2026_11_29 USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: history_2026_11_30_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_30_created_at_id_idx ON leasehold.history_2026_11_30 USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_2026_11_30_finished_at_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_30_finished_at_idx ON leasehold.history_2026_11_30 USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_2026_11_30_state_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_11_30_state_created_at_id_idx ON leasehold.history_2026_11_30 USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: history_2026_12_01_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_12_01_created_at_id_idx ON leasehold.history_2026_12_01 USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_2026_12_01_finished_at_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_12_01_finished_at_idx ON leasehold.history_2026_12_01 USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_2026_12_01_state_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_2026_12_01_state_created_at_id_idx ON leasehold.history_2026_12_01 USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: history_default_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_default_created_at_id_idx ON leasehold.history_default USING btree (created_at, id) WHERE leasehold.is_off_clock(id, created_at);


--
-- Name: history_default_finished_at_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_default_finished_at_idx ON leasehold.history_default USING brin (finished_at) WITH (pages_per_range='32', autosummarize='on');


--
-- Name: history_default_state_created_at_id_idx; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX history_default_state_created_at_id_idx ON leasehold.history_default USING btree (state, created_at, id) WHERE (state <> 'succeeded'::leasehold.job_state);


--
-- Name: job_blocked; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_blocked ON leasehold.job USING btree (queue) WHERE (state = 'blocked'::leasehold.job_state);


--
-- Name: job_cancel_wanted; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_cancel_wanted ON leasehold.job USING btree (worker) WHERE (cancel_requested_at IS NOT NULL);


--
-- Name: job_due; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_due ON leasehold.job USING btree (run_at) INCLUDE (queue) WHERE (state = 'scheduled'::leasehold.job_state);


--
-- Name: job_in_danger; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_in_danger ON leasehold.job USING btree (worker) WHERE ((crashes > 0) AND (worker IS NOT NULL));


--
-- Name: job_lease; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_lease ON leasehold.job USING btree (lease_expires_at) WHERE (lease_expires_at IS NOT NULL);


--
-- Name: job_line; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_line ON leasehold.job USING btree (queue, kind, priority DESC, run_at, id) WHERE (state = 'queued'::leasehold.job_state);


--
-- Name: job_off_clock; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX job_off_clock ON leasehold.job USING btree (created_at, id) WHERE ((state <> 'running'::leasehold.job_state) AND leasehold.is_off_clock(id, created_at));


--
-- Name: job_unique_key; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE UNIQUE INDEX job_unique_key ON leasehold.job USING btree (unique_key) WHERE (unique_key IS NOT NULL);


--
-- Name: queue_paused; Type: INDEX; Schema: leasehold; Owner: -
--

CREATE INDEX queue_paused ON leasehold.queue USING btree (name) WHERE (paused_at IS NOT NULL);


--
-- Name: history_2026_11_28_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.history_2026_11_28_created_at_id_idx;


--
-- Name: history_2026_11_28_finished_at_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_finished ATTACH PARTITION leasehold.history_2026_11_28_finished_at_idx;


--
-- Name: history_2026_11_28_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_pkey ATTACH PARTITION leasehold.history_2026_11_28_pkey;


--
-- Name: history_2026_11_28_state_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.history_2026_11_28_state_created_at_id_idx;


--
-- Name: history_2026_11_29_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.history_2026_11_29_created_at_id_idx;


--
-- Name: history_2026_11_29_finished_at_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_finished ATTACH PARTITION leasehold.history_2026_11_29_finished_at_idx;


--
-- Name: history_2026_11_29_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_pkey ATTACH PARTITION leasehold.history_2026_11_29_pkey;


--
-- Name: history_2026_11_29_state_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.history_2026_11_29_state_created_at_id_idx;


--
-- Name: history_2026_11_30_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.history_2026_11_30_created_at_id_idx;


--
-- Name: history_2026_11_30_finished_at_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_finished ATTACH PARTITION leasehold.history_2026_11_30_finished_at_idx;


--
-- Name: history_2026_11_30_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_pkey ATTACH PARTITION leasehold.history_2026_11_30_pkey;


--
-- Name: history_2026_11_30_state_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.history_2026_11_30_state_created_at_id_idx;


--
-- Name: history_2026_12_01_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.history_2026_12_01_created_at_id_idx;


--
-- Name: history_2026_12_01_finished_at_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_finished ATTACH PARTITION leasehold.history_2026_12_01_finished_at_idx;


--
-- Name: history_2026_12_01_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_pkey ATTACH PARTITION leasehold.history_2026_12_01_pkey;


--
-- Name: history_2026_12_01_state_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.history_2026_12_01_state_created_at_id_idx;


--
-- Name: history_default_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.history_default_created_at_id_idx;


--
-- Name: history_default_finished_at_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_finished ATTACH PARTITION leasehold.history_default_finished_at_idx;


--
-- Name: history_default_pkey; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_pkey ATTACH PARTITION leasehold.history_default_pkey;


--
-- Name: history_default_state_created_at_id_idx; Type: INDEX ATTACH; Schema: leasehold; Owner: -
--

ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.history_default_state_created_at_id_idx;


--
-- Name: FUNCTION cancel(id uuid); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.cancel(id uuid) FROM PUBLIC;


--
-- Name: FUNCTION cancel_batch(ids uuid[]); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.cancel_batch(ids uuid[]) FROM PUBLIC;


--
-- Name: FUNCTION drop_partition(keep interval); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.drop_partition(keep interval) FROM PUBLIC;


--
-- Name: FUNCTION enqueue(kind text, payload json, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.enqueue(kind text, payload json, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid) FROM PUBLIC;


--
-- Name: FUNCTION enqueue(kind text, payload jsonb, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.enqueue(kind text, payload jsonb, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid) FROM PUBLIC;


--
-- Name: FUNCTION enqueue(kind text, payload text, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.enqueue(kind text, payload text, queue text, priority integer, run_at timestamp with time zone, max_attempts integer, unique_key text, timeout interval, depends_on uuid[], limit_key text, id uuid) FROM PUBLIC;


--
-- Name: FUNCTION enqueue_checked(_id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint, _run_at timestamp with time zone, _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text, _limit_key text, OUT id uuid, OUT inserted boolean, OUT state text); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.enqueue_checked(_id uuid, _may_exist boolean, _queue text, _kind text, _payload json, _priority smallint, _run_at timestamp with time zone, _max_attempts integer, _max_crashes smallint, _timeout_ms integer, _unique_key text, _limit_key text, OUT id uuid, OUT inserted boolean, OUT state text) FROM PUBLIC;


--
-- Name: FUNCTION enqueue_unless_held(_ids uuid[], _queues text[], _kinds text[], _payloads text[], _priorities smallint[], _run_ats timestamp with time zone[], _delays_ms bigint[], _max_attempts integer[], _max_crashes smallint[], _timeouts_ms integer[], _unique_keys text[], _limit_keys text[]); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.enqueue_unless_held(_ids uuid[], _queues text[], _kinds text[], _payloads text[], _priorities smallint[], _run_ats timestamp with time zone[], _delays_ms bigint[], _max_attempts integer[], _max_crashes smallint[], _timeouts_ms integer[], _unique_keys text[], _limit_keys text[]) FROM PUBLIC;


--
-- Name: FUNCTION first_id_at(at timestamp with time zone); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.first_id_at(at timestamp with time zone) FROM PUBLIC;


--
-- Name: FUNCTION is_deeper_than(json text, levels integer); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.is_deeper_than(json text, levels integer) FROM PUBLIC;


--
-- Name: FUNCTION make_partition(day date, OUT answer text, OUT moved bigint); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.make_partition(day date, OUT answer text, OUT moved bigint) FROM PUBLIC;


--
-- Name: FUNCTION new_id(); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.new_id() FROM PUBLIC;


--
-- Name: FUNCTION time_of_id(id uuid); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.time_of_id(id uuid) FROM PUBLIC;


--
-- Name: FUNCTION with_trail(trail jsonb, verb text, epoch integer, worker uuid, note text); Type: ACL; Schema: leasehold; Owner: -
--

REVOKE ALL ON FUNCTION leasehold.with_trail(trail jsonb, verb text, epoch integer, worker uuid, note text) FROM PUBLIC;


--
-- PostgreSQL database dump complete
--


