-- enqueue_nodes: enqueues jobs that depend on other jobs: on jobs that exist, or on jobs of the same call.
--
-- Guard:      as enqueue_spec for each job, and hold_parents for the jobs that exist. Nothing is written before the whole graph
--             is known to have no cycle. An edge is made only together with its child, so no later call can close a cycle.
-- Parameters: an array of objects: the fields of read_job, `name`, and `after`: names of jobs of this
--             call. `depends_on` may contain ids of this call too.
-- Answer:     one row for each job, in the order of the call: the answer of enqueue_spec, the queue, and the position in the
--             line.
-- Finished:   all children are enqueued as blocked. Then parents_ended tells them about parents that had finished before.
-- Existing:   a job that exists already keeps its parents. Jobs of this call that come after it depend on the existing job.
-- Order:      parents are locked in the order of their ids, then jobs are inserted by unique key, as in enqueue.sql. So calls
--             with the same keys or the same parents cannot deadlock.
-- Shards:     a job with more than 32 parents has 32 counters.
-- Cost:       10,000 jobs take about a second.
-- Index:      as enqueue_spec and hold_parents.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.enqueue_nodes(nodes json)
RETURNS TABLE (nth integer, name text, id uuid, inserted boolean, replaced boolean, state text, queue text, line_at timestamptz)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    n integer := json_array_length(nodes);
    list json[];
    names text[];
    ids uuid[];
    -- The edges within the call, twice: in the order of their parents, and in the order of their children. `first_…[i]` is the
    -- place of the first edge of the node i.
    down_parents integer[];
    down_children integer[];
    first_down integer[];
    up_parents integer[];
    up_children integer[];
    first_up integer[];
    -- How many parents of a node have no place in the order yet.
    open_parents integer[];
    ordered integer[] := '{}';
    previous integer[];
    -- The parents that exist already.
    outer_children integer[];
    outer_parents uuid[];
    first_outer integer[];
    finished uuid[];
    finished_states text[];
    specs leasehold.job_spec[];
    keys text[];
    by_key integer[];
    were_inserted boolean[];
    were_replaced boolean[];
    are_new boolean := true;
    edge_children uuid[] := '{}';
    edge_parents uuid[] := '{}';
    edge_nths integer[] := '{}';
    edge_policies text[] := '{}';
    base leasehold.job_spec;
    spec leasehold.job_spec;
    node json;
    answer record;
    parents uuid[];
    told text;
    place integer;
    child integer;
    i integer;
BEGIN
    SELECT array_agg(e.node ORDER BY e.nth), array_agg(e.node ->> 'name' ORDER BY e.nth),
           array_agg((e.node ->> 'id')::uuid ORDER BY e.nth)
    INTO list, names, ids
    FROM json_array_elements(nodes) WITH ORDINALITY e(node, nth);
    IF n = 0 THEN RETURN; END IF;

    SELECT format('the name %L is given to two jobs', w.name) INTO told
    FROM unnest(names) w(name) WHERE w.name IS NOT NULL GROUP BY w.name HAVING count(*) > 1 LIMIT 1;
    IF told IS NULL THEN
        SELECT format('two jobs have the id %s', w.id) INTO told
        FROM unnest(ids) w(id) WHERE w.id IS NOT NULL GROUP BY w.id HAVING count(*) > 1 LIMIT 1;
    END IF;
    IF told IS NULL THEN
        SELECT format('%s comes after %L, and no job of the graph has this name', coalesce(names[a.child], 'a job'), a.name) INTO told
        FROM (SELECT l.nth AS child, json_array_elements_text(l.node -> 'after') AS name
              FROM unnest(list) WITH ORDINALITY l(node, nth) WHERE json_typeof(l.node -> 'after') = 'array') a
        LEFT JOIN unnest(names) WITH ORDINALITY w(name, nth) ON w.name = a.name
        WHERE w.nth IS NULL LIMIT 1;
    END IF;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue_graph: %', told USING ERRCODE = 'invalid_parameter_value';
    END IF;

    WITH inner_edges AS (
        SELECT a.child::integer AS child, w.nth::integer AS parent
        FROM (SELECT l.nth AS child, json_array_elements_text(l.node -> 'after') AS name
              FROM unnest(list) WITH ORDINALITY l(node, nth) WHERE json_typeof(l.node -> 'after') = 'array') a
        JOIN unnest(names) WITH ORDINALITY w(name, nth) ON w.name = a.name
        UNION
        SELECT a.child::integer, w.nth::integer
        FROM (SELECT l.nth AS child, json_array_elements_text(l.node -> 'depends_on')::uuid AS id
              FROM unnest(list) WITH ORDINALITY l(node, nth) WHERE json_typeof(l.node -> 'depends_on') = 'array') a
        JOIN unnest(ids) WITH ORDINALITY w(id, nth) ON w.id = a.id
    )
    SELECT array_agg(e.parent ORDER BY e.parent, e.child), array_agg(e.child ORDER BY e.parent, e.child),
           array_agg(e.parent ORDER BY e.child, e.parent), array_agg(e.child ORDER BY e.child, e.parent)
    INTO down_parents, down_children, up_parents, up_children
    FROM inner_edges e;
    SELECT array_agg(a.child ORDER BY a.child, a.nth), array_agg(a.id ORDER BY a.child, a.nth)
    INTO outer_children, outer_parents
    FROM (SELECT l.nth::integer AS child, d.id::uuid AS id, min(d.nth) AS nth
          FROM unnest(list) WITH ORDINALITY l(node, nth)
          CROSS JOIN LATERAL json_array_elements_text(
              CASE WHEN json_typeof(l.node -> 'depends_on') = 'array' THEN l.node -> 'depends_on' ELSE '[]' END
          ) WITH ORDINALITY d(id, nth)
          GROUP BY 1, 2) a
    WHERE a.id <> ALL (array_remove(ids, NULL));

    -- Kahn's algorithm: a node gets its place after all of its parents.
    first_down := array_fill(0, ARRAY[n + 1]);
    first_up := first_down;
    first_outer := first_down;
    open_parents := first_down;
    FOR i IN REVERSE coalesce(cardinality(down_parents), 0)..1 LOOP
        first_down[down_parents[i]] := i;
        first_up[up_children[i]] := i;
        open_parents[down_children[i]] := open_parents[down_children[i]] + 1;
    END LOOP;
    FOR i IN REVERSE coalesce(cardinality(outer_children), 0)..1 LOOP
        first_outer[outer_children[i]] := i;
    END LOOP;
    FOR i IN 1..n LOOP
        IF open_parents[i] = 0 THEN ordered := ordered || i; END IF;
    END LOOP;
    place := 1;
    WHILE place <= cardinality(ordered) LOOP
        i := first_down[ordered[place]];
        WHILE i > 0 AND down_parents[i] = ordered[place] LOOP
            child := down_children[i];
            open_parents[child] := open_parents[child] - 1;
            IF open_parents[child] = 0 THEN ordered := ordered || child; END IF;
            i := i + 1;
        END LOOP;
        place := place + 1;
    END LOOP;
    IF cardinality(ordered) < n THEN
        -- Each of the remaining nodes has a parent among these nodes. So the path from any of them to its parents ends in a
        -- cycle.
        previous := array_fill(0, ARRAY[n]);
        FOR i IN 1..cardinality(up_children) LOOP
            IF open_parents[up_children[i]] > 0 AND open_parents[up_parents[i]] > 0 THEN
                previous[up_children[i]] := up_parents[i];
                place := up_children[i];
            END IF;
        END LOOP;
        FOR i IN 1..n LOOP
            place := previous[place];
        END LOOP;
        child := place;
        told := coalesce(names[place], ids[place]::text, format('job %s', place));
        FOR i IN 1..n LOOP
            place := previous[place];
            told := coalesce(names[place], ids[place]::text, format('job %s', place)) || ' → ' || told;
            EXIT WHEN place = child;
            IF i = 20 THEN
                told := '… → ' || told;
                EXIT;
            END IF;
        END LOOP;
        RAISE EXCEPTION 'leasehold.enqueue_graph: %', CASE WHEN previous[child] = child
            THEN format('%s depends on itself', coalesce(names[child], ids[child]::text, format('job %s', child)))
            ELSE format('the jobs depend on each other in a cycle: %s', told) END
            USING ERRCODE = 'invalid_parameter_value';
    END IF;

    base.queue := 'default';
    base.payload := '{}';
    base.priority := 0;
    base.max_attempts := 5;
    specs := array_fill(base, ARRAY[n]);
    keys := array_fill(NULL::text, ARRAY[n]);
    FOREACH child IN ARRAY ordered LOOP
        node := list[child];
        -- The same as read_job, in a fifth of the time.
        spec := json_populate_record(base, node);
        IF json_typeof(node -> 'payload') = 'null' THEN spec.payload := 'null'; END IF;
        IF node ->> 'payload_text' IS NOT NULL THEN spec.payload := (node ->> 'payload_text')::json; END IF;
        IF node ->> 'delay' IS NOT NULL THEN
            spec.run_at := now() + leasehold.duration_ms((node -> 'delay')::jsonb, 'delay') * interval '1 millisecond';
        END IF;
        IF node ->> 'expires_in' IS NOT NULL THEN
            spec.expires_at := now() + leasehold.duration_ms((node -> 'expires_in')::jsonb, 'expires_in') * interval '1 millisecond';
        END IF;
        spec.on_parent_failure := coalesce(spec.on_parent_failure, 'cancel');
        IF spec.on_parent_failure NOT IN ('cancel', 'hold', 'run') THEN
            RAISE EXCEPTION 'leasehold.enqueue: on_parent_failure is %; it must be cancel, hold or run',
                quote_literal(left(spec.on_parent_failure, 100))
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        place := 0;
        i := first_outer[child];
        WHILE i > 0 AND outer_children[i] = child LOOP
            place := place + 1;
            i := i + 1;
        END LOOP;
        i := first_up[child];
        WHILE i > 0 AND up_children[i] = child LOOP
            place := place + 1;
            i := i + 1;
        END LOOP;
        IF place > 10000 THEN
            RAISE EXCEPTION 'leasehold.enqueue: depends_on names % jobs; at most 10000 are allowed', place
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF place > 0 AND spec.run_at > now() THEN
            RAISE EXCEPTION 'leasehold.enqueue: a job with depends_on cannot have a time too: run_at is %', spec.run_at
                USING ERRCODE = 'invalid_parameter_value';
        ELSIF place > 0 AND spec."unique"::jsonb ->> 'on_conflict' IN ('replace', 'keep_last') THEN
            RAISE EXCEPTION 'leasehold.enqueue: a job with depends_on cannot replace another one: on_conflict is %',
                spec."unique"::jsonb ->> 'on_conflict'
                USING ERRCODE = 'invalid_parameter_value';
        END IF;
        spec.depends_on := NULL;
        spec.unmet := CASE WHEN place > 0 THEN least(place, 32) END;
        spec.is_parent := CASE WHEN first_down[child] > 0 THEN true END;
        specs[child] := spec;
        keys[child] := CASE WHEN spec."unique" IS NULL THEN spec.unique_key ELSE leasehold.unique_key_of(spec) END;
    END LOOP;

    IF outer_parents IS NOT NULL THEN
        SELECT array_agg(h.id) FILTER (WHERE h.state IS NOT NULL), array_agg(h.state) FILTER (WHERE h.state IS NOT NULL)
        INTO finished, finished_states
        FROM leasehold.hold_parents(ARRAY(SELECT DISTINCT o.id FROM unnest(outer_parents) o(id) ORDER BY o.id)) h;
    END IF;

    -- If several jobs have the same key, the first one in the order of the graph is inserted. So no job becomes the child of
    -- its own child.
    SELECT array_agg(o.child ORDER BY k.key NULLS FIRST, CASE WHEN k.key IS NULL THEN k.id END, o.place) INTO by_key
    FROM unnest(ordered) WITH ORDINALITY o(child, place)
    JOIN unnest(keys, ids) WITH ORDINALITY k(key, id, nth) ON k.nth = o.child;
    were_inserted := array_fill(false, ARRAY[n]);
    were_replaced := were_inserted;
    FOREACH child IN ARRAY by_key LOOP
        answer := leasehold.enqueue_spec(specs[child]);
        ids[child] := answer.id;
        were_inserted[child] := answer.inserted;
        were_replaced[child] := answer.replaced;
        are_new := are_new AND answer.inserted;
        IF NOT answer.inserted AND first_down[child] > 0 THEN
            SELECT h.state INTO told FROM leasehold.hold_parents(ARRAY[answer.id]) h;
            IF told IS NOT NULL THEN
                finished := finished || answer.id;
                finished_states := finished_states || told;
            END IF;
        END IF;
    END LOOP;

    FOREACH child IN ARRAY ordered LOOP
        CONTINUE WHEN NOT were_inserted[child] OR specs[child].unmet IS NULL;
        parents := '{}';
        i := first_outer[child];
        WHILE i > 0 AND outer_children[i] = child LOOP
            parents := parents || outer_parents[i];
            i := i + 1;
        END LOOP;
        i := first_up[child];
        place := cardinality(parents);
        WHILE i > 0 AND up_children[i] = child LOOP
            place := place + 1;
            -- Two jobs of the call can be one job.
            IF are_new OR ids[up_parents[i]] <> ALL (parents) THEN
                parents := parents || ids[up_parents[i]];
            END IF;
            i := i + 1;
        END LOOP;
        IF cardinality(parents) < least(place, 32) THEN
            UPDATE leasehold.job j SET unmet = cardinality(parents) WHERE j.id = ids[child];
        END IF;
        FOR i IN 1..cardinality(parents) LOOP
            edge_children := edge_children || ids[child];
            edge_parents := edge_parents || parents[i];
            edge_nths := edge_nths || i;
            edge_policies := edge_policies || specs[child].on_parent_failure;
        END LOOP;
    END LOOP;

    INSERT INTO leasehold.edge (child, parent, nth, on_parent_failure)
    SELECT e.child, e.parent, e.nth, e.policy::leasehold.parent_failure
    FROM unnest(edge_children, edge_parents, edge_nths, edge_policies) e(child, parent, nth, policy);
    INSERT INTO leasehold.edge_count (child, shard, unmet)
    SELECT e.child, e.nth % 32, count(*) FROM unnest(edge_children, edge_nths) e(child, nth)
    WHERE e.child = ANY (ARRAY(SELECT c.child FROM unnest(edge_children, edge_nths) c(child, nth) WHERE c.nth = 33))
    GROUP BY 1, 2;
    IF finished IS NOT NULL THEN
        PERFORM FROM leasehold.parents_ended(finished, finished_states);
    END IF;

    RETURN QUERY
        SELECT w.nth::integer, names[w.nth], w.id, were_inserted[w.nth], coalesce(were_replaced[w.nth], false), coalesce(j.state::text, h.state::text), coalesce(j.queue::text, h.queue),
               nullif(j.line_at, 'infinity')
        FROM unnest(ids) WITH ORDINALITY w(id, nth)
        LEFT JOIN LATERAL (SELECT j.state, j.queue, j.line_at FROM leasehold.job j WHERE j.id = w.id OFFSET 0) j ON true
        LEFT JOIN LATERAL (
            SELECT h.state, h.queue FROM leasehold.history h WHERE j.state IS NULL AND h.id = w.id LIMIT 1
        ) h ON true
        ORDER BY w.nth;
END
$$;
