-- admit_fair_next: `admit_fair` for the next queues that have jobs with fair keys, for a reaper: the process that should have called it may
-- have died, or the jobs were enqueued by plain SQL. The function also moves the jobs that are on the wrong side of the setting
-- `fair` of their queue: see follow_fair.
--
-- Guard:      the guards of admit_fair and follow_fair.
-- Parameters: the queue after which to begin; the maximum number of queues; how many admitted jobs of one kind may wait; the maximum
--             number of jobs to move in each queue.
-- Answer:     the jobs that are now in the line, or that wait for room of a limit key. The last row has no job. It has the last
--             queue that the call examined, or NULL if there are no more queues.
-- Index:      job_parked, job_fair_window and fair_weight_change_pkey, one probe of each index for each queue; and the indexes of
--             the functions.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.admit_fair_next(_after text, _queues integer, _size integer, _limit bigint)
RETURNS TABLE (id uuid, queue text, line_at timestamptz, limited_by text, parked_by text, last_queue text)
LANGUAGE plpgsql SET plan_cache_mode = 'force_generic_plan' SET enable_seqscan = off AS $$
#variable_conflict use_column
DECLARE
    one text := _after;
BEGIN
    FOR nth IN 1 .. _queues LOOP
        SELECT least(
            (SELECT j.queue::text FROM leasehold.job j
             WHERE j.fair_at IS NOT NULL AND j.queue > one ORDER BY j.queue LIMIT 1),
            (SELECT j.queue::text FROM leasehold.job j
             WHERE j.fair_key IS NOT NULL AND j.fair_at IS NULL AND j.limited_at IS NULL AND j.state >= 'queued' AND j.state <= 'queued'
               AND j.queue > one ORDER BY j.queue LIMIT 1),
            (SELECT c.queue::text FROM leasehold.fair_weight_change c WHERE c.queue > one ORDER BY c.queue LIMIT 1)) INTO one;
        EXIT WHEN one IS NULL;
        RETURN QUERY SELECT f.id, f.queue, f.line_at, f.limited_by, NULL::text, NULL::text FROM leasehold.follow_fair(one, _limit) f
                     WHERE f.line_at IS NOT NULL;
        RETURN QUERY SELECT a.id, a.queue, a.line_at, a.limited_by, a.parked_by, NULL::text FROM leasehold.admit_fair(one, NULL, _size) a;
    END LOOP;
    RETURN QUERY SELECT NULL::uuid, NULL::text, NULL::timestamptz, NULL::text, NULL::text, one;
END
$$;
