-- pause_fair_key: pauses a fair key in a queue: no job of the key starts until the key is resumed. Running jobs continue.
--
-- Guard:      the primary key of leasehold.pause. The call locks no job and no share: the caller's transaction may stay open. A claim that
--             began before the caller's commit and has the row of a job ends first, or finds the key paused: see not_paused.
-- Parameters: the queue; the key.
-- Answer:     whether the key was not paused before.
-- Admitted:   the jobs of the key that are in the line are refused by claims. The next admission of the queue parks them.
-- Index:      pause_pkey.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.pause_fair_key(_queue text, _fair_key text) RETURNS boolean
LANGUAGE plpgsql AS $$
BEGIN
    IF _fair_key IS NULL OR octet_length(_fair_key) NOT BETWEEN 1 AND 512 THEN
        RAISE EXCEPTION 'leasehold.pause_fair_key: fair_key is % bytes long; it must be from 1 to 512', coalesce(octet_length(_fair_key), 0)
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    IF NOT leasehold.is_fair(_queue) THEN
        RAISE EXCEPTION 'leasehold.pause_fair_key: fair keys are only labels in queue %, so that none can be paused', _queue
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    INSERT INTO leasehold.pause (queue, what, name) VALUES (_queue, 'fair_key', _fair_key)
    ON CONFLICT (queue, what, name) DO NOTHING;
    RETURN FOUND;
END
$$;
