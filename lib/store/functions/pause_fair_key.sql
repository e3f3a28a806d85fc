-- pause_fair_key: pauses a fair key in a queue: none of its jobs starts until it is resumed. Running jobs continue.
--
-- Guard:      the guard of park_again. A claim that began before the caller's commit and has the row of a job ends first, or finds the key
--             paused: see not_paused.
-- Parameters: the queue; the key.
-- Answer:     whether the key was not paused before, and the jobs that were parked. One row.
-- Index:      pause_pkey, and those of park_again.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.pause_fair_key(_queue text, _fair_key text, OUT changed boolean, OUT parked uuid[])
LANGUAGE plpgsql AS $$
BEGIN
    IF _fair_key IS NULL OR octet_length(_fair_key) NOT BETWEEN 1 AND 512 THEN
        RAISE EXCEPTION 'leasehold.pause_fair_key: fair_key is %s bytes long; it must be from 1 to 512', coalesce(octet_length(_fair_key), 0)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT leasehold.is_fair(_queue) THEN
        RAISE EXCEPTION 'leasehold.pause_fair_key: fair keys are only labels in queue %, so that none can be paused', _queue
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    PERFORM pg_advisory_xact_lock(leasehold.fair_lock(_queue));
    INSERT INTO leasehold.pause (queue, what, name) VALUES (_queue, 'fair_key', _fair_key)
    ON CONFLICT (queue, what, name) DO NOTHING;
    changed := FOUND;
    parked := ARRAY(SELECT leasehold.park_again(_queue, _fair_key));
END
$$;
