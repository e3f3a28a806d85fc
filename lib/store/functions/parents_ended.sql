-- parents_ended: tells the children of jobs that have ended: see meet_edges.
--
-- Guard:      the guard of meet_edges. The call can be repeated at any time.
-- Parameters: the parents with their final states; how many children one call may cancel.
-- Answer:     the jobs that this call has moved into the line. A job with limit keys first waits for room behind the line, and a
--             reaper admits it.
-- Bound:      the bound of meet_edges. The function notes the remaining parents in ended_parent, and a reaper continues with
--             them.
-- Locks:      waits up to 50 ms for a row. Then it begins again and skips the children that other sessions have locked: it tells
--             all other children, and leaves the parents of the skipped ones to a reaper. So a locked child delays neither the
--             settle of its parents nor their other children.
-- Snapshot:   a transaction that has one snapshot for all its statements leaves the work to a reaper.
-- Index:      ended_parent_pkey, job_pkey; and the indexes of meet_edges.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.parents_ended(
    parent_ids uuid[], parent_states text[], cancel_max integer DEFAULT 200
) RETURNS TABLE (id uuid, queue text, line_at timestamptz)
LANGUAGE plpgsql SET lock_timeout = '50ms' AS $$
#variable_conflict use_column
DECLARE
    skips_locked boolean;
    told record;
    unblocked uuid[] := '{}';
    left_ids uuid[] := parent_ids;
    left_states text[] := parent_states;
BEGIN
    IF current_setting('transaction_isolation') = 'read committed' THEN
        FOREACH skips_locked IN ARRAY ARRAY[false, true] LOOP
            BEGIN
                told := leasehold.meet_edges(parent_ids, parent_states, cancel_max, skips_locked);
                unblocked := told.unblocked;
                left_ids := told.left_ids;
                left_states := told.left_states;
                EXIT;
            EXCEPTION WHEN lock_not_available OR deadlock_detected THEN
                NULL; -- The call has changed nothing.
            END;
        END LOOP;
    END IF;
    INSERT INTO leasehold.ended_parent (parent, state)
    SELECT DISTINCT ON (l.id) l.id, l.state::leasehold.job_state FROM unnest(left_ids, left_states) l(id, state) ORDER BY l.id
    ON CONFLICT (parent) DO UPDATE SET state = excluded.state;
    RETURN QUERY
        SELECT j.id, j.queue::text, j.line_at FROM unnest(unblocked) u(id)
        CROSS JOIN LATERAL (SELECT j.id, j.queue, j.line_at FROM leasehold.job j WHERE j.id = u.id OFFSET 0) j
        WHERE j.line_at < 'infinity';
END
$$;
