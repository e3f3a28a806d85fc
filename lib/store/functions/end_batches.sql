-- end_batches: enqueues the callback jobs of batches: when the first job of a sealed batch is dead, and when all of its jobs have ended.
--
-- Guard:      the row of the batch is locked, and says which callbacks were made. The job and the note are one transaction. So
--             each callback is made once, even if several reapers call this function or a reaper dies during the call.
-- Parameters: the most batches of one call.
-- Answer:     the callback jobs, which are in the line.
-- Complete:   a sealed batch gets no new jobs (see join_batch). So it is complete as soon as none of its jobs is live. A job that is
--             revived later is not waited for again, and no callback is made twice.
-- Snapshot:   each statement of this function has a new one. The batch is locked before its jobs are counted.
-- Plain:      a callback is never encrypted: see refuse_plain_payload.
-- Locked:     a batch that another session has locked is skipped: another reaper is working on it.
-- Index:      batch_awaited; one probe of job_batch and one of history_batch for each of these batches.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.end_batches(_limit integer)
RETURNS TABLE (id uuid, queue text, line_at timestamptz)
LANGUAGE plpgsql AS $$
#variable_conflict use_column
DECLARE
    due record;
    spec leasehold.job_spec;
    has_ended boolean;
    has_died boolean;
    succeeded bigint;
    dead bigint;
    cancelled bigint;
    event text;
    made uuid;
    all_made uuid[] := '{}';
BEGIN
    PERFORM set_config('leasehold.takes_plain', 'on', true);
    FOR due IN
        SELECT b.name, b.on_success, b.on_complete, b.on_death, b.callback_queue, b.death_job
        FROM leasehold.batch b
        WHERE b.sealed_at IS NOT NULL AND b.completed_at IS NULL
          AND (NOT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text)
               OR (b.on_death IS NOT NULL AND b.death_job IS NULL
                   AND EXISTS (SELECT FROM leasehold.history h WHERE h.batch = b.name::text AND h.state = 'dead')))
        ORDER BY b.name LIMIT _limit
        FOR NO KEY UPDATE SKIP LOCKED
    LOOP
        -- In this order: a job that ends between the two statements is counted.
        has_ended := NOT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = due.name::text);
        IF has_ended THEN
            SELECT count(*) FILTER (WHERE h.state = 'succeeded'), count(*) FILTER (WHERE h.state = 'dead'),
                   count(*) FILTER (WHERE h.state = 'cancelled')
            INTO succeeded, dead, cancelled
            FROM leasehold.history h WHERE h.batch = due.name::text;
            has_died := dead > 0;
        ELSE
            has_died := EXISTS (SELECT FROM leasehold.history h WHERE h.batch = due.name::text AND h.state = 'dead');
        END IF;
        FOREACH event IN ARRAY ARRAY['death', 'success', 'complete'] LOOP
            spec := NULL;
            spec.kind := CASE
                WHEN event = 'death' AND has_died AND due.death_job IS NULL THEN due.on_death
                WHEN event = 'success' AND has_ended AND dead + cancelled = 0 THEN due.on_success
                WHEN event = 'complete' AND has_ended THEN due.on_complete END;
            CONTINUE WHEN spec.kind IS NULL;
            spec.queue := due.callback_queue;
            spec.priority := 0;
            spec.max_attempts := 5;
            spec.payload := CASE WHEN has_ended
                THEN json_build_object('batch', due.name, 'event', event, 'succeeded', succeeded, 'dead', dead, 'cancelled', cancelled)
                ELSE json_build_object('batch', due.name, 'event', event) END;
            made := (leasehold.enqueue_spec(spec)).id;
            all_made := all_made || made;
            UPDATE leasehold.batch b
            SET death_job = CASE event WHEN 'death' THEN made ELSE b.death_job END,
                success_job = CASE event WHEN 'success' THEN made ELSE b.success_job END,
                complete_job = CASE event WHEN 'complete' THEN made ELSE b.complete_job END,
                completed_at = CASE WHEN has_ended THEN now() END
            WHERE b.name = due.name;
        END LOOP;
        IF has_ended THEN
            UPDATE leasehold.batch b SET completed_at = now() WHERE b.name = due.name AND b.completed_at IS NULL;
        END IF;
    END LOOP;
    PERFORM set_config('leasehold.takes_plain', 'off', true);
    RETURN QUERY
        SELECT j.id, j.queue::text, j.line_at FROM leasehold.job j WHERE j.id = ANY (all_made);
END
$$;
