-- fire_schedules: moves due schedules to their next tick, and enqueues the job of each due tick. Each schedule succeeds as a
-- whole or not at all.
--
-- Guard:      a schedule still has the revision and the `next_at` that the reaper has read; of two reapers, one changes the
--             row. A tick makes one job: its row in schedule_tick has a primary key.
-- Parameters: one array for each column: names, revisions, the `next_at` that was read, the ticks that make a job each (an
--             array as text), the next tick, and why the row cannot be read, or NULL.
-- Answer:     for each schedule its number (1 is the first) and its outcome: fired, elsewhere, held, refused. After `fired`,
--             one row for each tick that made a job now, or one row without a tick.
-- Held:       an open transaction has the unique key of the job. This schedule is rolled back alone, and is tried again at
--             the next tick of a reaper. After the first five, each is waited for only 1 ms.
-- Refused:    the job cannot be enqueued. The schedule moves to its next tick, and its row stores the reason.
-- Webhook:    a tick makes its job even if the webhook of the schedule has been removed since the schedule was set.
-- Order:      by name.
-- Plain:      a payload that was not encrypted when the schedule was set is stored in the job unencrypted: see
--             refuse_plain_payload.
-- New words:  a field of leasehold.job_spec that schedules can have needs a column of leasehold.schedule and a line here.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.fire_schedules(
    _names text[], _revisions bigint[], _due timestamptz[], _ticks text[], _next timestamptz[], _errors text[]
) RETURNS TABLE (nth bigint, outcome text, tick timestamptz, id uuid, inserted boolean, state text, queue text,
                 line_at timestamptz, problem text)
LANGUAGE plpgsql SET lock_timeout = '20ms' AS $$
DECLARE
    fire record;
    found_schedule leasehold.schedule;
    spec leasehold.job_spec;
    answer record;
    of_tick timestamptz;
    made jsonb;
    held_so_far integer := 0;
BEGIN
    PERFORM set_config('leasehold.takes_plain', 'on', true);
    FOR fire IN
        SELECT *
        FROM unnest(_names, _revisions, _due, _ticks, _next, _errors) WITH ORDINALITY
                 AS f(name, revision, due_at, ticks, next_at, error, nth)
        ORDER BY f.name
    LOOP
        nth := fire.nth;
        outcome := 'fired';
        problem := fire.error;
        made := '[]';
        of_tick := NULL;
        BEGIN
            SELECT s.* INTO found_schedule FROM leasehold.schedule s
            WHERE s.name = fire.name AND s.revision = fire.revision AND s.next_at = fire.due_at
            FOR UPDATE SKIP LOCKED;
            IF FOUND THEN
                UPDATE leasehold.schedule s SET next_at = fire.next_at, last_error = fire.error
                WHERE s.name = fire.name AND s.next_at = fire.due_at;
                FOREACH of_tick IN ARRAY fire.ticks::timestamptz[] LOOP
                    -- This transaction has locked the row of the schedule, so no other transaction writes this row now.
                    CONTINUE WHEN EXISTS (
                        SELECT FROM leasehold.schedule_tick t WHERE t.schedule = fire.name AND t.tick = of_tick);
                    spec.queue := found_schedule.queue;
                    spec.kind := found_schedule.kind;
                    spec.payload := found_schedule.payload;
                    spec.priority := found_schedule.priority;
                    spec.run_at := of_tick;
                    spec.max_attempts := found_schedule.max_attempts;
                    spec.timeout := found_schedule.timeout_ms * interval '1 millisecond';
                    spec.unique_key := found_schedule.unique_key;
                    spec.limit_key := found_schedule.limit_key;
                    spec.limit_keys := found_schedule.limit_keys;
                    spec.retry := found_schedule.retry;
                    spec.expires_at := now() + found_schedule.expires_in_ms * interval '1 millisecond';
                    spec."unique" := found_schedule."unique";
                    spec.batch := found_schedule.batch;
                    spec.fair_key := found_schedule.fair_key;
                    spec.webhook := CASE WHEN found_schedule.webhook IS NOT NULL THEN
                        (SELECT w.id FROM leasehold.webhook w WHERE w.id = found_schedule.webhook) END;
                    answer := leasehold.enqueue_spec(spec);
                    INSERT INTO leasehold.schedule_tick (schedule, tick, job) VALUES (fire.name, of_tick, answer.id);
                    made := made || jsonb_build_object('tick', of_tick, 'id', answer.id, 'inserted', answer.inserted,
                                                       'state', answer.state);
                END LOOP;
                DELETE FROM leasehold.schedule_tick t
                WHERE t.schedule = fire.name AND t.tick < of_tick
                  AND t.tick < now() - interval '1 day' AND t.fired_at < now() - interval '1 day';
            ELSE
                outcome := 'elsewhere';
            END IF;
        EXCEPTION
            WHEN lock_not_available OR deadlock_detected THEN
                held_so_far := held_so_far + 1;
                IF held_so_far = 5 THEN PERFORM set_config('lock_timeout', '1ms', true); END IF;
                outcome := 'held';
                made := '[]';
            WHEN data_exception OR integrity_constraint_violation THEN
                problem := SQLERRM;
                made := '[]';
                UPDATE leasehold.schedule s SET next_at = fire.next_at, last_error = left(problem, 1000)
                WHERE s.name = fire.name AND s.revision = fire.revision AND s.next_at = fire.due_at;
        END;
        IF outcome = 'fired' AND problem IS NOT NULL THEN
            outcome := 'refused';
        END IF;
        RETURN QUERY
            SELECT fire.nth, outcome, m.tick, m.id, m.inserted, m.state, found_schedule.queue::text,
                   leasehold.line_at(m.tick, found_schedule.priority, found_schedule.queue), problem
            FROM (SELECT) AS once
            LEFT JOIN jsonb_to_recordset(made) AS m(tick timestamptz, id uuid, inserted boolean, state text) ON true;
    END LOOP;
    PERFORM set_config('leasehold.takes_plain', 'off', true);
END
$$;
