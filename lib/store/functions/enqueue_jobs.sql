-- enqueue_jobs: enqueues many jobs with any fields, for clients.
--
-- Guard:      as enqueue_spec, for each job alone. With `skip_held`, a job that must wait longer than the lock timeout is rolled
--             back alone, and its answer is `held`.
-- Parameters: an array of JSON objects, as read_job takes them; whether to skip jobs that an open transaction holds.
-- Answer:     one row for each job: `nth` (1 is the first), the answer of enqueue_spec, the queue and the position in the line
--             of a job that this call inserted or replaced, and whether the job is held.
--             A job that waits for room of a limit key has no position.
-- Cost:       a hundred held jobs cost a few hundred ms: after the first five, the lock timeout is only 1 ms.
-- Order:      by unique key, as in enqueue.sql, so that two calls with the same keys cannot wait for each other in a circle. Before
--             the jobs, all their parents are locked, in the order of their ids.
-- Rights:     of the owner: clients need no rights on tables.
CREATE OR REPLACE FUNCTION leasehold.enqueue_jobs(jobs json, skip_held boolean)
RETURNS TABLE (nth bigint, id uuid, inserted boolean, replaced boolean, state text, queue text, line_at timestamptz, held boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    job record;
    spec leasehold.job_spec;
    answer record;
    held_so_far integer := 0;
    parents uuid[];
BEGIN
    IF skip_held THEN PERFORM set_config('lock_timeout', '20ms', true); END IF;
    IF NOT skip_held AND strpos(jobs::text, '"depends_on"') > 0 THEN
        -- A job of this call may be the parent of a later one.
        SELECT array_agg(p.id) INTO parents
        FROM (SELECT d.id::uuid AS id FROM json_array_elements(jobs) e(job)
              CROSS JOIN LATERAL json_array_elements_text(
                  CASE WHEN json_typeof(e.job -> 'depends_on') = 'array' THEN e.job -> 'depends_on' ELSE '[]' END) d(id)
              EXCEPT
              SELECT (e.job ->> 'id')::uuid FROM json_array_elements(jobs) e(job)) p;
        IF parents IS NOT NULL THEN PERFORM FROM leasehold.hold_parents(parents); END IF;
    END IF;
    FOR job IN
        SELECT given.nth, given.content, leasehold.unique_key_of(given.content) AS key
        FROM (SELECT e.nth, leasehold.read_job(e.job) AS content
              FROM json_array_elements(jobs) WITH ORDINALITY AS e(job, nth) OFFSET 0) AS given
        ORDER BY key NULLS FIRST, (given.content).id, given.nth
    LOOP
        nth := job.nth;
        spec := job.content;
        queue := NULL;
        line_at := NULL;
        held := false;
        -- A block with EXCEPTION is a subtransaction, which costs more than the rest.
        IF skip_held THEN
            BEGIN
                answer := leasehold.enqueue_spec(spec);
            EXCEPTION WHEN lock_not_available THEN
                held_so_far := held_so_far + 1;
                IF held_so_far = 5 THEN PERFORM set_config('lock_timeout', '1ms', true); END IF;
                held := true;
            END;
        ELSE
            answer := leasehold.enqueue_spec(spec);
        END IF;
        IF held THEN
            id := spec.id; inserted := false; replaced := false; state := NULL;
        ELSE
            id := answer.id;
            inserted := answer.inserted;
            replaced := answer.replaced;
            state := answer.state;
            IF inserted OR replaced THEN
                SELECT j.queue, nullif(j.line_at, 'infinity') INTO queue, line_at FROM leasehold.job j WHERE j.id = answer.id;
            END IF;
        END IF;
        RETURN NEXT;
    END LOOP;
END
$$;
