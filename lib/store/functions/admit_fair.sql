-- admit_fair: brings parked jobs of a queue into the line, in the order of fair shares. For each kind, a window of admitted jobs
-- waits in the line. All other jobs are parked in the lanes of their keys.
--
-- Guard:      one caller at a time for each queue: the call tries the lock of the shares, and does not wait for it. The
--             statements after that have new snapshots, so they see the tags of the previous caller. A parked row that another
--             session has locked is skipped.
-- Parameters: the queue; the keys of jobs that have just been parked, none (an empty array) after the end of a run, or NULL to look at
--             all lanes; how many admitted jobs of one kind may wait.
-- Answer:     the jobs that were admitted, in the order of the line. A job with limit keys waits for room behind the line: its
--             answer has the key to admit. A job that was parked again, because the window had grown: its answer has the key of
--             the lane. A job that has another turn: two answers, the first with the key of the lane, the second with the new
--             place.
-- Shares:     start-time fair queueing. A job starts at the tag of its key, but not before the first tag that waits in the window;
--             the tag of its key then grows by 1 / weight. The lowest tags are admitted. Within a lane, jobs keep their order.
-- Priority:   before that, a parked job that belongs before admitted jobs of its key takes their turn: see order_lanes. A call
--             after the end of a run skips this search.
-- Window:     while at least half of the window waits, a call with keys reads only the lanes of these keys. A job whose tag is
--             before the end of the window is admitted even if the window is full: the first job of a new key. A window that
--             grows to one and a half of its size is cut: its last jobs are parked again, and their keys get their tags back. So
--             the window has the lowest tags of all waiting jobs, no matter which job came first.
-- Weights:    changes that have committed are applied first: see apply_fair_weights. The jobs that are parked by this are
--             in the answer.
-- Paused:     the lane of a paused key is not read. Its jobs that have come back into the line are parked again.
-- Stuck:      an admitted job that still waits after four more windows were admitted no longer counts: its row is locked, or its
--             worker crashes. It takes no room, and does not hold back the first tag.
-- Place:      a job that goes behind the window gets the position at which it came into the line, but not a position before the
--             job ahead of it. So plain jobs of the queue that came earlier start first. A job that goes into the window gets a
--             position next to the job ahead of it.
-- Step:       0.1 ms from job to job, because Redis keeps positions in this unit.
-- Lanes:      to choose n jobs, the n lanes with the lowest tags are read, each up to the tag that n jobs would reach if no lane
--             ran dry. If a lane runs dry, the rest is chosen again without the empty lanes.
-- Index:      job_parked: one probe for each key, and one short range for each chosen lane; job_fair_window: the window; fair_tag_pkey,
--             fair_weight_pkey, fair_weight_change_pkey, fair_window_pkey, job_pkey.
-- Rights:     of the caller, which is a client, a worker or a reaper. Clients have the rights of the owner: see roles.sql.
CREATE OR REPLACE FUNCTION leasehold.admit_fair(_queue text, _keys text[], _size integer)
RETURNS TABLE (id uuid, queue text, line_at timestamptz, limited_by text, parked_by text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    _kind text := '';
    -- The paused keys of the queue.
    paused text[] := ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = _queue AND p.what = 'fair_key');
    paused_key text;
    -- The largest tag so far, and the number of the last admitted job.
    largest_tag double precision;
    last_nth bigint;
    waiting bigint;
    first_tag double precision;
    last_tag double precision;
    first_at timestamptz;
    last_at timestamptz;
    only_keys boolean;
    -- How many jobs to admit, all with tags below this one.
    wanted bigint;
    below double precision;
    floor_tag double precision;
    dry text[];
    ran_dry text[];
    ids uuid[] := '{}';
    found_jobs bigint;
    new_tag double precision;
    new_at timestamptz;
BEGIN
    IF NOT pg_try_advisory_xact_lock(leasehold.fair_lock(_queue)) THEN
        RETURN;
    END IF;
    IF EXISTS (SELECT FROM leasehold.fair_weight_change c WHERE c.queue = _queue) THEN
        ids := ARRAY(SELECT leasehold.apply_fair_weights(_queue));
    END IF;
    IF NOT leasehold.is_fair(_queue) THEN
        RETURN;
    END IF;
    -- A key was paused, or runs of a paused key have come back from their workers.
    FOREACH paused_key IN ARRAY paused LOOP
        ids := ids || ARRAY(SELECT leasehold.park_again(_queue, paused_key));
    END LOOP;
    -- A separate statement has a new snapshot: it sees the current jobs.
    RETURN QUERY
        SELECT j.id, j.queue::text, j.fair_at, NULL::text, j.fair_key
        FROM unnest(ids) a(id)
        CROSS JOIN LATERAL (SELECT j.id, j.queue, j.fair_at, j.fair_key
                            FROM leasehold.job j WHERE j.id = a.id AND j.fair_at IS NOT NULL OFFSET 0) j;
    LOOP
        SELECT least(
            (SELECT j.kind::text FROM leasehold.job j
             WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind > _kind ORDER BY j.kind LIMIT 1),
            -- Without parked jobs, only the order of the window may be wrong.
            (SELECT j.kind::text FROM leasehold.job j
             WHERE _keys IS NULL AND j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL
               AND j.state >= 'queued' AND j.state <= 'queued'
               AND j.queue = _queue AND j.kind > _kind ORDER BY j.kind LIMIT 1)) INTO _kind;
        EXIT WHEN _kind IS NULL;
        IF _keys IS NULL OR _keys <> '{}' THEN
            -- A job with another turn is in the answer twice: first its hint at the old place is removed, then a new hint is
            -- pushed.
            ids := ARRAY(SELECT o.id FROM leasehold.order_lanes(_queue, _kind, _keys, _size) o);
            RETURN QUERY
                SELECT j.id, j.queue::text, coalesce(j.limited_at, j.fair_at, j.line_at), NULL::text, j.fair_key
                FROM unnest(ids) a(id)
                CROSS JOIN LATERAL (SELECT j.id, j.queue, j.line_at, j.fair_at, j.limited_at, j.fair_key
                                    FROM leasehold.job j WHERE j.id = a.id OFFSET 0) j;
            RETURN QUERY
                SELECT j.id, j.queue::text, coalesce(j.limited_at, j.line_at), CASE WHEN j.limited_at IS NOT NULL THEN j.limited_by END, NULL::text
                FROM unnest(ids) a(id)
                CROSS JOIN LATERAL (SELECT j.id, j.queue, j.line_at, j.limited_at, j.limited_by
                                    FROM leasehold.job j WHERE j.id = a.id AND j.fair_at IS NULL OFFSET 0) j
                ORDER BY coalesce(j.limited_at, j.line_at);
        END IF;
        FOR round IN 1 .. 20 LOOP
            SELECT w.tag, w.admitted INTO largest_tag, last_nth FROM leasehold.fair_window w WHERE w.queue = _queue AND w.kind = _kind;
            last_nth := coalesce(last_nth, 0);
            SELECT count(*), min(w.fair_tag), max(w.fair_tag), min(w.line_at), max(w.line_at)
            INTO waiting, first_tag, last_tag, first_at, last_at
            FROM (SELECT j.fair_tag, j.line_at FROM leasehold.job j
                  WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                    AND j.queue = _queue AND j.kind = _kind AND j.fair_tag IS NOT NULL AND j.fair_nth > last_nth - 4 * _size
                  ORDER BY j.fair_tag LIMIT 2 * _size) w;
            IF 2 * waiting > 3 * _size THEN
                ids := NULL;
                WITH target AS MATERIALIZED (
                    SELECT j.id, j.fair_key, j.fair_tag FROM leasehold.job j
                    WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                      AND j.queue = _queue AND j.kind = _kind AND j.fair_tag IS NOT NULL
                    ORDER BY j.fair_tag DESC LIMIT waiting - _size FOR UPDATE SKIP LOCKED
                ), tagged AS (
                    UPDATE leasehold.fair_tag t SET tag = least(t.tag, r.tag)
                    FROM (SELECT r.fair_key, min(r.fair_tag) AS tag FROM target r GROUP BY r.fair_key) r
                    WHERE t.queue = _queue AND t.fair_key = r.fair_key
                ), parked AS (
                    UPDATE leasehold.job j
                    SET fair_at = leasehold.line_at(j.run_at, j.priority, j.queue), fair_tag = NULL, fair_nth = NULL,
                        line_at = 'infinity', limited_by = NULL
                    WHERE j.id = ANY (ARRAY(SELECT r.id FROM target r))
                    RETURNING j.id
                )
                SELECT array_agg(p.id) INTO ids FROM parked p;
                IF ids IS NOT NULL THEN
                    UPDATE leasehold.fair_window w
                    SET tag = coalesce((SELECT j.fair_tag FROM leasehold.job j
                                        WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL
                                          AND j.state >= 'queued' AND j.state <= 'queued'
                                          AND j.queue = _queue AND j.kind = _kind AND j.fair_tag IS NOT NULL
                                        ORDER BY j.fair_tag DESC LIMIT 1), w.tag)
                    WHERE w.queue = _queue AND w.kind = _kind;
                    RETURN QUERY
                        SELECT j.id, j.queue::text, j.fair_at, NULL::text, j.fair_key
                        FROM unnest(ids) a(id)
                        CROSS JOIN LATERAL (SELECT j.id, j.queue, j.fair_at, j.fair_key
                                            FROM leasehold.job j WHERE j.id = a.id AND j.fair_at IS NOT NULL OFFSET 0) j;
                    CONTINUE;
                END IF;
            END IF;
            only_keys := _keys IS NOT NULL AND 2 * waiting >= _size;
            IF only_keys OR waiting >= _size THEN
                wanted := 2 * _size - waiting;
                below := last_tag;
            ELSE
                wanted := _size - waiting;
                below := 'infinity';
            END IF;
            EXIT WHEN wanted <= 0 OR (only_keys AND _keys = '{}');
            floor_tag := coalesce(first_tag, largest_tag, 0);
            largest_tag := coalesce(largest_tag, floor_tag);
            dry := '{}';
            LOOP
                WITH RECURSIVE key(name) AS (
                    SELECT given.name FROM unnest(_keys) AS given(name) WHERE only_keys
                    UNION
                    -- All lanes, one index probe for each.
                    (SELECT j.fair_key FROM leasehold.job j
                     WHERE NOT only_keys AND j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind
                     ORDER BY j.fair_key LIMIT 1)
                    UNION
                    SELECT (SELECT j.fair_key FROM leasehold.job j
                            WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind AND j.fair_key > k.name
                            ORDER BY j.fair_key LIMIT 1)
                    FROM key k
                    WHERE NOT only_keys AND k.name IS NOT NULL
                ), lane AS MATERIALIZED (
                    SELECT l.key, l.weight, l.start
                    FROM (SELECT k.name AS key,
                                 coalesce((SELECT w.weight FROM leasehold.fair_weight w
                                           WHERE w.queue = _queue AND w.fair_key = k.name), 1) AS weight,
                                 greatest(floor_tag, (SELECT t.tag FROM leasehold.fair_tag t
                                                      WHERE t.queue = _queue AND t.fair_key = k.name)) AS start
                          FROM key k
                          WHERE k.name IS NOT NULL AND k.name <> ALL (dry) AND k.name <> ALL (paused)) l
                    WHERE l.start < below
                    ORDER BY l.start, l.key LIMIT wanted
                ), level AS MATERIALIZED (
                    SELECT least(below, (wanted + sum(l.weight * l.start)) / sum(l.weight)) AS tag FROM lane l
                ), asked AS MATERIALIZED (
                    SELECT l.key, l.weight, l.start, greatest(0, least(wanted, ceil((v.tag - l.start) * l.weight)))::bigint AS jobs
                    FROM lane l CROSS JOIN level v
                ), front AS MATERIALIZED (
                    SELECT a.key, a.weight, p.id, p.fair_at, a.start + (p.nth - 1) / a.weight AS tag
                    FROM asked a
                    CROSS JOIN LATERAL (
                        SELECT f.id, f.fair_at, row_number() OVER (ORDER BY f.fair_at, f.id) AS nth
                        FROM (SELECT j.id, j.fair_at FROM leasehold.job j
                              WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind AND j.fair_key = a.key
                              ORDER BY j.fair_at, j.id LIMIT a.jobs
                              FOR UPDATE SKIP LOCKED) f
                    ) p
                ), chosen AS MATERIALIZED (
                    SELECT c.*, row_number() OVER (ORDER BY c.tag, c.fair_at, c.id) AS place
                    FROM (SELECT * FROM front f ORDER BY f.tag, f.fair_at, f.id LIMIT wanted) c
                ), placed AS MATERIALIZED (
                    SELECT c.id, c.tag, c.place,
                           CASE WHEN c.tag < last_tag
                                THEN coalesce((SELECT j.line_at FROM leasehold.job j
                                               WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL
                                                 AND j.state >= 'queued' AND j.state <= 'queued' AND j.queue = _queue AND j.kind = _kind
                                                 AND j.fair_tag <= c.tag AND j.fair_nth > last_nth - 4 * _size
                                               ORDER BY j.fair_tag DESC LIMIT 1), first_at)
                                ELSE max(CASE WHEN c.tag < last_tag THEN '-infinity'
                                              ELSE greatest(c.fair_at, last_at + interval '100 microseconds')
                                                   - c.place * interval '100 microseconds' END) OVER (ORDER BY c.place)
                                     + c.place * interval '100 microseconds' END AS at
                    FROM chosen c
                ), tagged AS (
                    INSERT INTO leasehold.fair_tag AS t (queue, fair_key, tag, latest)
                    SELECT _queue, c.key, max(c.tag + 1 / c.weight), max(c.fair_at) FROM chosen c GROUP BY c.key
                    ON CONFLICT (queue, fair_key) DO UPDATE SET tag = excluded.tag, latest = greatest(t.latest, excluded.latest)
                ), admitted AS (
                    UPDATE leasehold.job j
                    SET fair_at = NULL, fair_tag = p.tag, fair_nth = last_nth + p.place,
                        line_at = CASE WHEN j.limit_keys IS NULL THEN p.at ELSE 'infinity' END,
                        limited_at = CASE WHEN j.limit_keys IS NOT NULL THEN p.at END, limited_by = j.limit_keys[1]
                    FROM placed p
                    WHERE j.id = p.id AND j.id = ANY (ARRAY(SELECT p.id FROM placed p))
                    RETURNING j.id, p.place
                )
                SELECT array_agg(a.id ORDER BY a.place), count(*), (SELECT max(c.tag) FROM chosen c), (SELECT max(p.at) FROM placed p),
                       (SELECT array_agg(l.key) FROM asked l
                        LEFT JOIN (SELECT f.key, count(*) AS jobs FROM front f GROUP BY f.key) given ON given.key = l.key
                        WHERE l.jobs > coalesce(given.jobs, 0))
                INTO ids, found_jobs, new_tag, new_at, ran_dry
                FROM admitted a;
                EXIT WHEN found_jobs = 0 AND ran_dry IS NULL;
                dry := dry || ran_dry;
                IF found_jobs > 0 THEN
                    largest_tag := greatest(largest_tag, new_tag);
                    last_tag := greatest(last_tag, new_tag);
                    first_at := coalesce(first_at, new_at);
                    last_at := greatest(last_at, new_at);
                    last_nth := last_nth + found_jobs;
                    wanted := wanted - found_jobs;
                    INSERT INTO leasehold.fair_window AS w (queue, kind, tag, admitted) VALUES (_queue, _kind, largest_tag, last_nth)
                    ON CONFLICT (queue, kind) DO UPDATE SET tag = excluded.tag, admitted = excluded.admitted;
                    RETURN QUERY
                        SELECT j.id, j.queue::text, coalesce(j.limited_at, j.line_at), j.limited_by, NULL::text
                        FROM unnest(ids) WITH ORDINALITY a(id, nth)
                        CROSS JOIN LATERAL (SELECT j.id, j.queue, j.line_at, j.limited_at, j.limited_by
                                            FROM leasehold.job j WHERE j.id = a.id OFFSET 0) j
                        ORDER BY a.nth;
                END IF;
                EXIT WHEN wanted <= 0 OR ran_dry IS NULL;
            END LOOP;
            -- More jobs with tags before the end of the window may be left.
            EXIT WHEN below = 'infinity' OR wanted > 0;
        END LOOP;
    END LOOP;
END
$$;
