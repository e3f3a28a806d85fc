-- enqueue_unless_held: enqueues many jobs, and skips each job whose id or unique key an open transaction holds.
--
-- Guard:      as enqueue_spec, for each job alone. A job that must wait longer than the lock timeout is rolled back alone,
--             and its answer is `held`.
-- Parameters: one array for each column, as in enqueue.sql.
-- Answer:     one row for each job: `nth` (1 is the first), the answer of enqueue_spec, and whether the job is held.
-- Cost:       a hundred held jobs cost a few hundred ms: after the first five, the lock timeout is only 1 ms.
-- Order:      by unique key, as in enqueue.sql.
-- Rights:     of the owner: clients need no rights on tables.
-- Keep:       its parameters must not change: clients of earlier versions call this function at the same time as newer
--             clients.
CREATE OR REPLACE FUNCTION leasehold.enqueue_unless_held(
    _ids uuid[], _queues text[], _kinds text[], _payloads text[], _priorities smallint[], _run_ats timestamptz[],
    _delays_ms bigint[], _max_attempts integer[], _max_crashes smallint[], _timeouts_ms integer[], _unique_keys text[],
    _limit_keys text[]
) RETURNS TABLE (nth bigint, id uuid, inserted boolean, state text, held boolean)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '20ms' AS $$
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
