-- queue_load: how many jobs a queue could run now, and how many run. The scaling signal is computed from these numbers.
--
-- Guard:      none, it only reads.
-- Parameters: a queue; the kinds whose jobs count, or NULL for every kind; the time after which jobs of other kinds must have become
--             due to count, or NULL if they do not count; the workers that are draining, whose runs do not count; the counts of the
--             queue, {"queued": {kind: number}, "running": number, "ended": number}. Programs of earlier versions do not give the counts:
--             for these programs the function reads the counts itself.
-- Answer:     waiting:  jobs without limit keys that could start now. They are queued or parked, and neither their queue nor their
--                       kind nor their fair key is paused. No other job holds their unique key.
--             limited: the jobs that have limit keys, as [{"keys", "waiting"}]: for each key at most as many jobs as it has room
--                       for, and about 10,000 in all.
--             rooms:    how many more jobs of each of these keys may start, as {"key": number}. Other keys are free.
--             oldest:   when the first of these jobs in the order of the line became due. Jobs that are parked or wait for room are left out: an older job of
--                       their key is in the line.
--             running:  runs on workers that are not draining. draining: the other runs.
--             finished: jobs that ended within the last minute.
-- Cost:       some probes for each kind without limit keys, because the stored counts have the number of its jobs. One index
--             entry or row for each waiting job of a kind that has jobs with limit keys, has a paused fair key, or has no worker.
--             One row for each run, only while a worker is draining. One probe for each limit key for which jobs wait, in any
--             queue. A paused queue costs nothing.
-- Index:      job_lease; job_line_at; job_parked; job_with_limits, job_by_limit and the indexes of key_room; job_begun_key and
--             job_unique_key.
-- Plans:      generic plans. A plan for the values of a call would be made again for each call.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.queue_load(
    _queue text, _kinds text[], _others_after timestamptz, _draining uuid[], _counts json,
    OUT waiting bigint, OUT limited json, OUT rooms json, OUT oldest timestamptz, OUT running bigint, OUT draining bigint,
    OUT finished bigint
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off SET jit = off AS $$
DECLARE
    enough CONSTANT integer := 10000;
    one text := '';
    counted text[] := '{}';
    after timestamptz;
    of_kind bigint;
    first timestamptz;
    room integer;
    -- The limited jobs so far: the keys of each group as JSON, and how many jobs have these keys.
    groups json[] := '{}';
    found_limited bigint := 0;
    found_groups json[];
    next_group json;
    found_jobs bigint;
    paused_keys text[];
BEGIN
    waiting := 0;
    draining := 0;
    IF _draining <> '{}' THEN
        SELECT count(*) INTO draining
        FROM leasehold.job j WHERE j.lease_expires_at IS NOT NULL AND j.queue = _queue AND j.worker = ANY (_draining);
    END IF;
    running := greatest(0, coalesce((_counts ->> 'running')::bigint, 0) - draining);
    finished := greatest(0, coalesce((_counts ->> 'ended')::bigint, 0));
    IF EXISTS (SELECT FROM leasehold.queue q WHERE q.name = _queue AND q.paused_at IS NOT NULL) THEN
        RETURN;
    END IF;
    paused_keys := ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = _queue AND p.what = 'fair_key');
    FOR one, of_kind IN SELECT k.key, k.value::bigint FROM json_each_text(_counts -> 'queued') k ORDER BY k.key LOOP
        after := CASE WHEN _kinds IS NULL OR one = ANY (_kinds) THEN '-infinity' ELSE _others_after END;
        CONTINUE WHEN after IS NULL OR EXISTS (
            SELECT FROM leasehold.pause p WHERE p.queue = _queue AND p.what = 'kind' AND p.name = one);
        -- This kind has no jobs with limit keys. Its jobs are in the line or in lanes of fair keys, and each of them could start.
        IF after = '-infinity' AND paused_keys = '{}'
           AND NOT EXISTS (
               SELECT FROM leasehold.job j
               WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state = 'queued' AND j.queue = _queue AND j.kind = one)
           AND (NOT EXISTS (SELECT FROM leasehold.job j WHERE j.limited_by IS NOT NULL AND j.state = 'queued')
                OR NOT EXISTS (
                    SELECT FROM leasehold.job j
                    WHERE j.state = 'queued' AND j.queue = _queue AND j.kind = one AND j.line_at = 'infinity')) THEN
            waiting := waiting + of_kind;
            counted := counted || one;
            SELECT j.run_at INTO first FROM leasehold.job j
            WHERE j.state = 'queued' AND j.queue = _queue AND j.kind = one AND j.line_at < 'infinity'
            ORDER BY j.line_at, j.id LIMIT 1;
            oldest := least(oldest, first);
            CONTINUE;
        END IF;
        SELECT count(*), min(j.run_at) INTO of_kind, first FROM leasehold.job j
        WHERE j.state = 'queued' AND j.queue = _queue AND j.kind = one AND j.line_at < 'infinity' AND j.run_at >= after;
        IF of_kind > 0 THEN
            oldest := least(oldest, first);
            -- Among these jobs, the jobs with limit keys are counted by key.
            IF after = '-infinity' THEN
                SELECT of_kind - count(*) INTO of_kind FROM leasehold.job j
                WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state = 'queued' AND j.queue = _queue AND j.kind = one
                  AND j.line_at < 'infinity';
            ELSE
                SELECT of_kind - count(*) INTO of_kind FROM leasehold.job j
                WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state = 'queued' AND j.queue = _queue AND j.kind = one
                  AND j.line_at < 'infinity' AND j.run_at >= after;
            END IF;
            -- Jobs of a paused fair key are parked, except for jobs that a worker has returned.
            IF paused_keys <> '{}' THEN
                SELECT of_kind - count(*) INTO of_kind FROM leasehold.job j
                WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state = 'queued'
                  AND j.queue = _queue AND j.kind = one AND j.fair_key = ANY (paused_keys) AND j.limit_keys IS NULL
                  AND j.run_at >= after;
            END IF;
        END IF;
        waiting := waiting + of_kind;
        counted := counted || one;
        -- The jobs in the lanes of fair keys.
        SELECT count(*) INTO of_kind FROM leasehold.job j
        WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = one AND j.fair_key <> ALL (paused_keys) AND j.fair_at >= after;
        IF of_kind > 0 THEN
            waiting := waiting + of_kind;
            SELECT coalesce(sum(p.n), 0), array_agg(json_build_object('keys', p.limit_keys, 'waiting', p.n))
            INTO found_jobs, found_groups
            FROM (SELECT g.limit_keys, count(*) AS n FROM (
                      SELECT j.limit_keys FROM leasehold.job j
                      WHERE j.limit_keys IS NOT NULL AND j.limited_at IS NULL AND j.state = 'queued' AND j.queue = _queue
                        AND j.kind = one AND j.line_at = 'infinity' AND j.fair_key <> ALL (paused_keys) AND j.fair_at >= after
                      LIMIT enough) g
                  GROUP BY g.limit_keys) p;
            waiting := waiting - found_jobs;
            found_limited := found_limited + found_jobs;
            FOREACH next_group IN ARRAY coalesce(found_groups, '{}') LOOP
                groups := array_append(groups, next_group);
            END LOOP;
        END IF;
    END LOOP;

    -- A job that may not begin while another job with its unique key runs. There is at most one such job for each key.
    IF waiting > 0 THEN
        SELECT waiting - count(*) INTO waiting
        FROM leasehold.job b
        CROSS JOIN LATERAL (
            SELECT j.kind FROM leasehold.job j
            WHERE j.unique_key = b.begun_key AND j.state::text = 'queued' AND j.queue::text = _queue AND j.unique_rule = 'keep_last'
              AND j.begun_key IS NULL AND j.limit_keys IS NULL AND j.fair_at IS NULL OFFSET 0
        ) held
        WHERE b.begun_key IS NOT NULL AND b.unique_rule = 'keep_last' AND held.kind::text = ANY (counted);
        waiting := greatest(waiting, 0);
    END IF;

    one := '';
    WHILE counted <> '{}' AND found_limited < enough LOOP
        -- The next key, one index probe for each. A job is counted with the key whose room it was given or waits for.
        SELECT j.limited_by INTO one FROM leasehold.job j
        WHERE j.limited_by > one AND j.state = 'queued' ORDER BY j.limited_by LIMIT 1;
        EXIT WHEN NOT FOUND;
        CONTINUE WHEN NOT EXISTS (
            SELECT FROM leasehold.job j WHERE j.limited_by = one AND j.queue = _queue AND j.state = 'queued');
        SELECT least(r.slots, r.tokens) INTO room FROM leasehold.key_room(one) r;
        room := least(room, enough);
        CONTINUE WHEN room <= 0;
        SELECT coalesce(sum(p.n), 0), array_agg(json_build_object('keys', p.limit_keys, 'waiting', p.n)), least(oldest, min(p.first))
        INTO found_jobs, found_groups, oldest
        FROM (SELECT g.limit_keys, count(*) AS n, min(g.run_at) AS first FROM (
                  SELECT j.limit_keys, j.run_at FROM leasehold.job j
                  WHERE j.limited_by = one AND j.queue = _queue AND j.kind::text = ANY (counted) AND j.state = 'queued'
                    AND (_kinds IS NULL OR j.kind::text = ANY (_kinds) OR j.run_at >= _others_after)
                    AND (j.fair_key IS NULL OR j.fair_key <> ALL (paused_keys))
                  LIMIT room) g
              GROUP BY g.limit_keys) p;
        found_limited := found_limited + found_jobs;
        -- Groups are appended one by one: PostgreSQL appends an element in place, but would copy all groups to concatenate two
        -- arrays.
        FOREACH next_group IN ARRAY coalesce(found_groups, '{}') LOOP
            groups := array_append(groups, next_group);
        END LOOP;
    END LOOP;
    IF cardinality(groups) > 0 THEN
        SELECT json_agg(g.one), (
            SELECT json_object_agg(k.key, greatest(0, least(r.slots, r.tokens)))
            FROM (SELECT DISTINCT e.key FROM unnest(groups) AS g(one), json_array_elements_text(g.one -> 'keys') AS e(key)) k
            CROSS JOIN LATERAL leasehold.key_room(k.key) r
            WHERE least(r.slots, r.tokens) IS NOT NULL)
        INTO limited, rooms
        FROM unnest(groups) AS g(one);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.queue_load(
    _queue text, _kinds text[], _others_after timestamptz, _draining uuid[],
    OUT waiting bigint, OUT limited json, OUT rooms json, OUT oldest timestamptz, OUT running bigint, OUT draining bigint,
    OUT finished bigint
)
LANGUAGE plpgsql STABLE SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off SET jit = off AS $$
DECLARE
    counts json;
BEGIN
    WITH
    -- include counted: queues = c.queue = _queue
    SELECT json_build_object('queued', coalesce(json_object_agg(c.kind, c.queued) FILTER (WHERE c.queued > 0), '{}'), 'running', sum(c.running),
                             'ended', sum(c.succeeded + c.dead + c.cancelled))
    INTO counts
    FROM counted c;
    SELECT l.* INTO waiting, limited, rooms, oldest, running, draining, finished
    FROM leasehold.queue_load(_queue, _kinds, _others_after, _draining, counts) l;
END
$$;
