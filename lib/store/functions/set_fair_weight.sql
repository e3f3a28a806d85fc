-- set_fair_weight: sets how much of a queue a fair key gets, compared with the other keys. The backlog follows at once: the admitted
-- jobs that wait are parked again, and the caller admits anew.
--
-- Guard:      the guard of park_again. The last caller wins.
-- Parameters: the queue, the key, the weight. The weight 1 is that of every key without a weight.
-- Answer:     the jobs that were parked.
-- Index:      fair_weight_pkey, and those of park_again.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.set_fair_weight(_queue text, _fair_key text, _weight double precision) RETURNS SETOF uuid
LANGUAGE plpgsql AS $$
DECLARE
    wrong text := CASE
        WHEN _fair_key IS NULL OR octet_length(_fair_key) NOT BETWEEN 1 AND 512
            THEN format('fair_key is %s bytes long; it must be from 1 to 512', coalesce(octet_length(_fair_key), 0))
        WHEN _weight IS NULL OR _weight NOT BETWEEN 0.001 AND 1000 OR _weight = 'NaN'
            THEN format('weight is %s; it must be from 0.001 to 1000', coalesce(_weight::text, 'NULL')) END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.set_fair_weight: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(leasehold.fair_lock(_queue));
    IF _weight = 1 THEN
        DELETE FROM leasehold.fair_weight w WHERE w.queue = _queue AND w.fair_key = _fair_key;
    ELSE
        INSERT INTO leasehold.fair_weight AS w (queue, fair_key, weight, changed_at)
        VALUES (_queue, _fair_key, _weight, clock_timestamp())
        ON CONFLICT ON CONSTRAINT fair_weight_pkey DO UPDATE SET weight = excluded.weight, changed_at = excluded.changed_at;
    END IF;
    RETURN QUERY SELECT leasehold.park_again(_queue, NULL);
END
$$;
