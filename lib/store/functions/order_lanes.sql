-- order_lanes: makes the jobs of a fair key begin in the order of their own positions, also the jobs that are already admitted. A
-- parked job that belongs before an admitted job takes the turn of that job, and each later job of the key takes the turn of the
-- job after it. The jobs for which no turn is left are parked again.
--
-- Guard:      the lock of the shares of the queue, which the caller, admit_fair, has. A row that another session has locked is
--             skipped: it is being claimed or changed.
-- Parameters: the queue and the kind; the keys of jobs that have just been parked, or NULL for all keys of the window; the size
--             of the window.
-- Answer:     the jobs that now have another turn, or have lost their turn.
-- Shares:     the key keeps exactly its turns, with their tags, numbers and places. Only the jobs of these turns change.
-- Cheap:      `latest` of a key is the latest own position that was admitted. A key whose first parked job is not before it costs two index
--             probes. A change of priority in the window does not change `latest`: a call for all keys finds such jobs. `latest`
--             covers all kinds together, but a call sets it from the one kind that it has put in order: a call for all keys finds
--             the jobs that this misses.
-- Slack:      jobs that came within 100 ms change no turns, because clients that enqueue at the same time commit in any order.
-- Bound:      50 keys for each call, each with its turns in the window.
-- Index:      fair_tag_pkey, job_parked; job_fair_window: the window, at most twice; job_pkey.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.order_lanes(_queue text, _kind text, _keys text[], _size integer)
RETURNS TABLE (id uuid)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off SET jit = off AS $$
#variable_conflict use_column
DECLARE
    slack CONSTANT interval := '100 ms';
    mixed text[];
BEGIN
    IF _keys IS NOT NULL THEN
        mixed := ARRAY(
            SELECT given.name FROM unnest(_keys) AS given(name)
            WHERE (SELECT t.latest - slack FROM leasehold.fair_tag t WHERE t.queue = _queue AND t.fair_key = given.name)
                > (SELECT j.fair_at FROM leasehold.job j
                   WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind AND j.fair_key = given.name
                   ORDER BY j.fair_at, j.id LIMIT 1)
            LIMIT 50);
    ELSE
        mixed := ARRAY(
            WITH turn AS MATERIALIZED (
                SELECT j.id, j.fair_key, j.fair_tag, j.line_at, leasehold.line_at(j.run_at, j.priority, j.queue) AS own FROM leasehold.job j
                WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
                  AND j.queue = _queue AND j.kind = _kind AND j.fair_tag IS NOT NULL
                ORDER BY j.fair_tag LIMIT 2 * _size
            ), seen AS MATERIALIZED (
                SELECT o.fair_key, max(o.own) AS latest, coalesce(bool_or(o.own < o.latest_before - slack), false) AS is_mixed
                FROM (SELECT t.fair_key, t.own,
                             max(t.own) OVER (PARTITION BY t.fair_key ORDER BY t.line_at, t.fair_tag, t.id
                                              ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS latest_before
                      FROM turn t) o
                GROUP BY o.fair_key
            )
            SELECT s.fair_key FROM seen s
            WHERE s.is_mixed
               OR s.latest - slack > (SELECT j.fair_at FROM leasehold.job j
                                      WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind AND j.fair_key = s.fair_key
                                      ORDER BY j.fair_at, j.id LIMIT 1)
            LIMIT 50);
    END IF;
    IF mixed = '{}' THEN
        RETURN;
    END IF;
    RETURN QUERY WITH turn AS MATERIALIZED (
        SELECT j.id, j.fair_key, j.fair_tag, j.fair_nth, j.line_at, leasehold.line_at(j.run_at, j.priority, j.queue) AS own
        FROM leasehold.job j
        WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
          AND j.queue = _queue AND j.kind = _kind AND j.fair_tag IS NOT NULL AND j.fair_key = ANY (mixed)
        ORDER BY j.fair_tag LIMIT 2 * _size FOR UPDATE SKIP LOCKED
    ), owner AS MATERIALIZED (
        SELECT t.fair_key, count(*) AS turns, max(t.own) AS latest FROM turn t GROUP BY t.fair_key
    ), better AS MATERIALIZED (
        SELECT b.id, o.fair_key, b.fair_at AS own FROM owner o
        CROSS JOIN LATERAL (
            SELECT j.id, j.fair_at FROM leasehold.job j
            WHERE j.fair_at IS NOT NULL AND j.queue = _queue AND j.kind = _kind AND j.fair_key = o.fair_key AND j.fair_at < o.latest
            ORDER BY j.fair_at, j.id LIMIT o.turns FOR UPDATE SKIP LOCKED
        ) b
    ), ranked AS MATERIALIZED (
        SELECT r.id, r.fair_key, r.own, r.had, row_number() OVER (PARTITION BY r.fair_key ORDER BY r.own, r.id) AS nth
        FROM (SELECT t.id, t.fair_key, t.own, t.fair_nth AS had FROM turn t
              UNION ALL
              SELECT b.id, b.fair_key, b.own, NULL FROM better b) r
    ), given AS MATERIALIZED (
        SELECT r.id, r.own, r.had IS NULL AS was_parked, s.fair_tag, s.fair_nth, s.line_at
        FROM ranked r
        LEFT JOIN (SELECT t.fair_key, t.fair_tag, t.fair_nth, t.line_at,
                          row_number() OVER (PARTITION BY t.fair_key ORDER BY t.line_at, t.fair_tag, t.id) AS nth FROM turn t) s
            ON s.fair_key = r.fair_key AND s.nth = r.nth
        WHERE r.had IS DISTINCT FROM s.fair_nth
    ), reached AS (
        UPDATE leasehold.fair_tag t
        SET latest = (SELECT max(r.own) FROM ranked r
                      WHERE r.fair_key = t.fair_key AND r.nth <= (SELECT o.turns FROM owner o WHERE o.fair_key = r.fair_key))
        WHERE t.queue = _queue AND t.fair_key = ANY (mixed)
    )
    UPDATE leasehold.job j
    SET fair_at = CASE WHEN g.fair_nth IS NULL THEN g.own END, fair_tag = g.fair_tag, fair_nth = g.fair_nth,
        line_at = CASE WHEN g.fair_nth IS NULL OR (g.was_parked AND j.limit_keys IS NOT NULL) THEN 'infinity' ELSE g.line_at END,
        -- A job that has its turn now waits for room of its limit keys.
        limited_at = CASE WHEN g.was_parked AND j.limit_keys IS NOT NULL THEN g.line_at END,
        limited_by = CASE WHEN g.was_parked THEN j.limit_keys[1] WHEN g.fair_nth IS NOT NULL THEN j.limited_by END
    FROM given g
    WHERE j.id = g.id AND j.id = ANY (ARRAY(SELECT g.id FROM given g))
    RETURNING j.id;
END
$$;
