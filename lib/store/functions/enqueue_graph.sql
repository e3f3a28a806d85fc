-- enqueue_graph: a graph of jobs in the caller's own transaction: leasehold.enqueue_graph('{"jobs": […]}'), for any language.
--
-- Guard:      as enqueue_nodes. All jobs of the graph are enqueued, or none.
-- Parameters: an object with the array `jobs`. Each job has the fields of leasehold.enqueue_many, `name`, and `after`: names of
--             other jobs of the graph, which must succeed first.
-- Answer:     one row for each job, in the order of the array: its name, its id or the id of the existing job in its place,
--             whether this call inserted it, and its state.
-- Rights:     of the owner: a caller needs USAGE on the schema and EXECUTE on the called overload.
-- Overloads:  three, as leasehold.enqueue.
CREATE OR REPLACE FUNCTION leasehold.enqueue_graph(graph json)
RETURNS TABLE (name text, id uuid, inserted boolean, state text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
#variable_conflict use_column
DECLARE
    jobs json;
    told text;
    words text[];
BEGIN
    -- PostgreSQL cannot take a part of JSON that has this escape anywhere. Two backslashes are a backslash, and no escape.
    IF strpos(graph::text, '\u0000') > 0 AND graph::text ~ '(^|[^\\])(\\\\)*\\u0000' THEN
        RAISE EXCEPTION 'leasehold.enqueue_graph: the payload, or another word of a job, has the escape \u0000: PostgreSQL cannot read JSON with it; a payload may have it in SELECT leasehold.enqueue(…)'
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF json_typeof(graph) <> 'object' OR json_typeof(graph -> 'jobs') IS DISTINCT FROM 'array' THEN
        told := 'a graph is an object with the array "jobs"';
    ELSE
        jobs := graph -> 'jobs';
        SELECT array_agg(a.attname::text) || ARRAY['name', 'after', 'delay', 'expires_in'] INTO words
        FROM pg_attribute a
        WHERE a.attrelid = (SELECT t.typrelid FROM pg_type t WHERE t.oid = 'leasehold.job_spec'::regtype)
          AND NOT a.attisdropped AND a.attname <> ALL (ARRAY['unmet', 'is_parent', 'id_is_new', 'max_crashes']);
        SELECT format('graph has an unknown word %L', k.word) INTO told
        FROM json_object_keys(graph) k(word) WHERE k.word <> 'jobs' LIMIT 1;
        IF told IS NULL AND json_array_length(jobs) > 10000 THEN
            told := format('the graph has %s jobs; at most 10000 are allowed', json_array_length(jobs));
        END IF;
        IF told IS NULL THEN
            SELECT format('job %s is no object', e.nth) INTO told
            FROM json_array_elements(jobs) WITH ORDINALITY e(job, nth) WHERE json_typeof(e.job) <> 'object' LIMIT 1;
        END IF;
        IF told IS NULL THEN
            SELECT format('%s has an unknown word %L', coalesce(e.job ->> 'name', 'job ' || e.nth), k.word) INTO told
            FROM json_array_elements(jobs) WITH ORDINALITY e(job, nth) CROSS JOIN LATERAL json_object_keys(e.job) k(word)
            WHERE k.word <> ALL (words) LIMIT 1;
        END IF;
        IF told IS NULL THEN
            SELECT format('%s: %s must be an array of strings', coalesce(e.job ->> 'name', 'job ' || e.nth), l.word) INTO told
            FROM json_array_elements(jobs) WITH ORDINALITY e(job, nth) CROSS JOIN (VALUES ('after'), ('depends_on')) l(word)
            WHERE json_typeof(e.job -> l.word) NOT IN ('array', 'null') LIMIT 1;
        END IF;
    END IF;
    IF told IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.enqueue_graph: %', told USING ERRCODE = 'invalid_parameter_value';
    END IF;
    RETURN QUERY SELECT n.name, n.id, n.inserted, n.state FROM leasehold.enqueue_nodes(jobs) n;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue_graph(graph jsonb)
RETURNS TABLE (name text, id uuid, inserted boolean, state text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.name, g.id, g.inserted, g.state FROM leasehold.enqueue_graph(graph::json) g
$$;

CREATE OR REPLACE FUNCTION leasehold.enqueue_graph(graph text)
RETURNS TABLE (name text, id uuid, inserted boolean, state text)
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
    SELECT g.name, g.id, g.inserted, g.state FROM leasehold.enqueue_graph(graph::json) g
$$;
