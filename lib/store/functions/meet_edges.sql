-- meet_edges: applies the ends of jobs to the jobs that depend on them. A parent that succeeded is counted down. After another
-- end, the edge decides: `run` counts down, `hold` changes nothing, `cancel` cancels the child, which may be a parent itself. A
-- job that waits for nothing more moves into the line.
--
-- Guard:      an edge is met once, and only while its child is blocked. So the call can be repeated at any time.
-- Parameters: the parents with their final states; how many children the call may cancel; whether to skip the children that other
--             sessions have locked.
-- Answer:     the jobs that the call has moved into the line; the parents that are left, because some of their children were not
--             told of the end.
-- Bound:      one call meets at most 2,000 edges and cancels at most `cancel_max` children. So each transaction is short, even if
--             the graph is large.
-- Locks:      waits for the row of a child, and for its counters; or skips the child, and waits for nothing. The call usually
--             waits, because parents that end at the same moment lock their child only for a moment.
-- Counters:   a child with many parents has 32 counters. A call takes from any counter that no other session uses. The call that
--             empties a counter counts down the child, so the row of the child is changed 32 times, and not by each parent.
-- Order:      counters by child, then jobs by id. A child comes after its parents in every graph, so calls lock in the same
--             order, apart from counters: a locked counter is skipped while others are free.
-- Snapshot:   each statement needs a new snapshot, so the transaction must be READ COMMITTED.
-- Index:      edge_parent, edge_pkey, edge_count_pkey, job_pkey.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.meet_edges(
    parent_ids uuid[], parent_states text[], cancel_max integer, skips_locked boolean,
    OUT unblocked uuid[], OUT left_ids uuid[], OUT left_states text[]
)
LANGUAGE plpgsql AS $$
DECLARE
    meet_left integer := 2000;
    cancel_left integer := cancel_max;
    ids uuid[] := parent_ids;
    states text[] := parent_states;
    told_ids uuid[];
    told_states text[];
    chosen tid[];
    busy uuid[];
    counted uuid[];
    counts integer[];
    -- The children of `counted` that have counters.
    many uuid[];
    counted_child uuid;
    place integer;
    taken_shard smallint;
    there integer;
    left_there integer;
    left_to_take integer;
    emptied integer;
    tries integer;
    doomed uuid[];
    whys text[];
    more uuid[];
BEGIN
    unblocked := '{}';
    left_ids := '{}';
    left_states := '{}';
    WHILE cardinality(ids) > 0 LOOP
        -- The planner has no statistics for the edges of a new graph, so each step names the index entries or the rows.
        IF skips_locked THEN
            SELECT array_agg(e.ctid) INTO chosen
            FROM (SELECT l.ctid
                  FROM unnest(ids, states) p(id, state)
                  CROSS JOIN LATERAL (
                      SELECT e.child FROM leasehold.edge e
                      WHERE e.parent = p.id AND NOT e.met AND (p.state = 'succeeded' OR e.on_parent_failure = 'run')
                      OFFSET 0
                  ) e
                  CROSS JOIN LATERAL (
                      SELECT FROM leasehold.job j WHERE j.id = e.child AND j.state::text = 'blocked'
                      FOR NO KEY UPDATE SKIP LOCKED
                  ) waits
                  CROSS JOIN LATERAL (
                      SELECT l.ctid FROM leasehold.edge l WHERE l.child = e.child AND l.parent = p.id AND NOT l.met
                      FOR NO KEY UPDATE SKIP LOCKED
                  ) l
                  LIMIT meet_left + 1) e;
            -- Leaves out the children whose counters are used by other sessions.
            SELECT array_agg(n.child) INTO busy
            FROM (SELECT e.child, count(*) AS n FROM leasehold.edge e WHERE e.ctid = ANY (chosen) GROUP BY e.child) n
            WHERE EXISTS (SELECT FROM leasehold.edge_count c WHERE c.child = n.child)
              AND n.n > (SELECT coalesce(sum(c.unmet), 0)
                         FROM (SELECT c.unmet FROM leasehold.edge_count c WHERE c.child = n.child
                               FOR NO KEY UPDATE SKIP LOCKED) c);
            IF busy IS NOT NULL THEN
                SELECT array_agg(e.ctid) INTO chosen FROM leasehold.edge e
                WHERE e.ctid = ANY (chosen) AND e.child <> ALL (busy);
            END IF;
        ELSE
            SELECT array_agg(e.ctid) INTO chosen
            FROM (SELECT e.ctid
                  FROM unnest(ids, states) p(id, state)
                  CROSS JOIN LATERAL (
                      SELECT e.ctid, e.child FROM leasehold.edge e
                      WHERE e.parent = p.id AND NOT e.met AND (p.state = 'succeeded' OR e.on_parent_failure = 'run')
                      OFFSET 0
                  ) e
                  CROSS JOIN LATERAL (
                      SELECT FROM leasehold.job j WHERE j.id = e.child AND j.state::text = 'blocked' OFFSET 0
                  ) waits
                  LIMIT meet_left + 1) e;
        END IF;
        IF chosen IS NOT NULL THEN
            WITH marked AS (
                UPDATE leasehold.edge e SET met = true
                WHERE e.ctid = ANY (chosen[:meet_left]) AND NOT e.met
                RETURNING e.child
            ), down AS (
                SELECT m.child, count(*)::integer AS n,
                       EXISTS (SELECT FROM leasehold.edge_count c WHERE c.child = m.child) AS has_counters
                FROM marked m GROUP BY 1
            )
            SELECT array_agg(d.child ORDER BY d.child), array_agg(d.n ORDER BY d.child),
                   array_agg(d.child ORDER BY d.child) FILTER (WHERE d.has_counters)
            INTO counted, counts, many
            FROM down d;
            FOREACH counted_child IN ARRAY coalesce(many, '{}') LOOP
                place := array_position(counted, counted_child);
                left_to_take := counts[place];
                emptied := 0;
                tries := 0;
                WHILE left_to_take > 0 LOOP
                    -- Sessions begin at different counters, and skip counters that are in use.
                    SELECT c.shard, c.unmet INTO taken_shard, there FROM leasehold.edge_count c
                    WHERE c.child = counted_child AND c.unmet > 0
                    ORDER BY (c.shard + pg_backend_pid()) % 32 LIMIT 1 FOR UPDATE SKIP LOCKED;
                    IF NOT FOUND THEN
                        SELECT c.shard, c.unmet INTO taken_shard, there FROM leasehold.edge_count c
                        WHERE c.child = counted_child AND c.unmet > 0 ORDER BY c.shard LIMIT 1 FOR UPDATE;
                    END IF;
                    IF FOUND THEN
                        there := least(there, left_to_take);
                        UPDATE leasehold.edge_count c SET unmet = c.unmet - there
                        WHERE c.child = counted_child AND c.shard = taken_shard
                        RETURNING c.unmet INTO left_there;
                        left_to_take := left_to_take - there;
                        emptied := emptied + (left_there = 0)::integer;
                    ELSE
                        -- Another session has emptied the counter that this session waited for.
                        tries := tries + 1;
                        IF tries > 100 THEN
                            RAISE EXCEPTION 'the counters of % are in use', counted_child USING ERRCODE = 'lock_not_available';
                        END IF;
                    END IF;
                END LOOP;
                counts[place] := emptied;
            END LOOP;
            SELECT array_agg(d.child), array_agg(d.n) INTO counted, counts
            FROM unnest(counted, counts) d(child, n) WHERE d.n > 0;

            IF counted IS NOT NULL THEN
                PERFORM FROM (
                    SELECT FROM unnest(counted) c(id)
                    CROSS JOIN LATERAL (SELECT j.id FROM leasehold.job j WHERE j.id = c.id FOR NO KEY UPDATE) j) locked;
                WITH down AS (
                    UPDATE leasehold.job j
                    SET unmet = j.unmet - c.n,
                        state = CASE WHEN j.unmet = c.n THEN 'queued' ELSE j.state END,
                        run_at = CASE WHEN j.unmet = c.n THEN least(j.run_at, now()) ELSE j.run_at END,
                        limited_by = CASE WHEN j.unmet = c.n AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                                          THEN j.limit_keys[1] END,
                        limited_at = CASE WHEN j.unmet = c.n AND j.limit_keys IS NOT NULL
                                               AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                                          THEN leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END,
                        fair_at = CASE WHEN j.unmet = c.n AND j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)
                                       THEN leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END,
                        line_at = CASE WHEN j.unmet <> c.n THEN j.line_at WHEN j.limit_keys IS NOT NULL THEN 'infinity'
                                       WHEN j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue) THEN 'infinity'
                                       ELSE leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END
                    FROM unnest(counted, counts) c(id, n)
                    WHERE j.id = ANY (ARRAY[c.id]) AND j.state::text = 'blocked'
                    RETURNING j.id, j.state
                )
                SELECT array_agg(d.id) INTO more FROM down d WHERE d.state = 'queued';
                unblocked := unblocked || more;
                DELETE FROM leasehold.edge_count c WHERE c.child = ANY (more);
            END IF;
            IF cardinality(chosen) > meet_left THEN
                left_ids := left_ids || ids;
                left_states := left_states || states;
                EXIT;
            END IF;
            meet_left := meet_left - cardinality(chosen);
        END IF;

        doomed := NULL;
        IF 'succeeded' <> ANY (states) AND skips_locked THEN
            SELECT array_agg(d.child), array_agg(d.why) INTO doomed, whys
            FROM (SELECT l.child, min(l.why) AS why
                  FROM (SELECT e.child, format('its parent %s is %s', p.id, p.state) AS why
                        FROM unnest(ids, states) p(id, state)
                        CROSS JOIN LATERAL (
                            SELECT e.child FROM leasehold.edge e
                            WHERE p.state <> 'succeeded' AND e.parent = p.id AND NOT e.met AND e.on_parent_failure = 'cancel'
                            OFFSET 0
                        ) e
                        CROSS JOIN LATERAL (
                            SELECT FROM leasehold.job j WHERE j.id = e.child AND j.state::text = 'blocked'
                            FOR UPDATE SKIP LOCKED
                        ) waits
                        LIMIT cancel_left + 1) l
                  GROUP BY l.child ORDER BY l.child) d;
        ELSIF 'succeeded' <> ANY (states) THEN
            SELECT array_agg(d.child), array_agg(d.why) INTO doomed, whys
            FROM (SELECT e.child, min(format('its parent %s is %s', p.id, p.state)) AS why
                  FROM unnest(ids, states) p(id, state)
                  CROSS JOIN LATERAL (
                      SELECT e.child FROM leasehold.edge e
                      WHERE p.state <> 'succeeded' AND e.parent = p.id AND NOT e.met AND e.on_parent_failure = 'cancel'
                      OFFSET 0
                  ) e
                  CROSS JOIN LATERAL (
                      SELECT FROM leasehold.job j WHERE j.id = e.child AND j.state::text = 'blocked' OFFSET 0
                  ) waits
                  GROUP BY e.child ORDER BY e.child LIMIT cancel_left + 1) d;
        END IF;
        told_ids := ids;
        told_states := states;
        ids := NULL;
        IF doomed IS NOT NULL THEN
            IF cardinality(doomed) > cancel_left THEN
                left_ids := left_ids || told_ids;
                left_states := left_states || told_states;
            END IF;
            WITH target AS MATERIALIZED (
                SELECT j.id, d.why
                FROM unnest(doomed[:cancel_left], whys[:cancel_left]) d(id, why)
                CROSS JOIN LATERAL (
                    SELECT j.id FROM leasehold.job j WHERE j.id = d.id AND j.state::text = 'blocked' FOR UPDATE
                ) j
            ), gone AS (
                DELETE FROM leasehold.job j
                WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
                RETURNING j.*
            ), ended AS (
                -- include finish: state = 'cancelled'; error = t.why; from = gone g JOIN target t ON t.id = g.id;
                --     trail = leasehold.with_trail(g.trail, 'cancel', g.epoch, NULL, t.why)
                RETURNING h.id, h.is_parent, h.queue, h.kind, h.state
            ),
            -- include note_ended
            SELECT array_agg(e.id) FILTER (WHERE e.is_parent) INTO ids FROM ended e;
            states := array_fill('cancelled'::text, ARRAY[coalesce(cardinality(ids), 0)]);
            cancel_left := cancel_left - least(cardinality(doomed), cancel_left);
        END IF;
        IF skips_locked THEN
            SELECT left_ids || coalesce(array_agg(p.id), '{}'), left_states || coalesce(array_agg(p.state), '{}')
            INTO left_ids, left_states
            FROM unnest(told_ids, told_states) p(id, state)
            WHERE EXISTS (
                SELECT FROM leasehold.edge e
                CROSS JOIN LATERAL (
                    SELECT FROM leasehold.job j WHERE j.id = e.child AND j.state::text = 'blocked' OFFSET 0
                ) waits
                WHERE e.parent = p.id AND NOT e.met AND (p.state = 'succeeded' OR e.on_parent_failure <> 'hold'));
        END IF;
        IF cancel_left = 0 THEN
            left_ids := left_ids || ids;
            left_states := left_states || states;
            EXIT;
        END IF;
    END LOOP;
END
$$;
