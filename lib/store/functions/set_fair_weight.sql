-- set_fair_weight: sets the weight of a fair key: its part of the queue, compared with the other keys.
--
-- Guard:      none, it locks nothing that others use: the caller's transaction may stay open. The change waits in
--             leasehold.fair_weight_change. The next admission of the queue after the commit, or the next tick of a reaper,
--             applies the change, also to the jobs that already wait.
-- Parameters: the queue, the key, the weight. A key without a weight has the weight 1.
--             An invalid value fails with invalid_parameter_value.
-- Index:      fair_weight_change_pkey.
-- Rights:     of the caller, which is an operator.
CREATE OR REPLACE FUNCTION leasehold.set_fair_weight(_queue text, _fair_key text, _weight double precision) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    wrong text := CASE
        WHEN _queue IS NULL OR _queue !~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$'
            THEN format('%L is no name of a queue', left(_queue, 200))
        WHEN _fair_key IS NULL OR octet_length(_fair_key) NOT BETWEEN 1 AND 512
            THEN format('fair_key is %s bytes long; it must be from 1 to 512', coalesce(octet_length(_fair_key), 0))
        WHEN _weight IS NULL OR _weight NOT BETWEEN 0.001 AND 1000 OR _weight = 'NaN'
            THEN format('weight is %s; it must be from 0.001 to 1000', coalesce(_weight::text, 'NULL')) END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.set_fair_weight: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO leasehold.fair_weight_change AS c (queue, fair_key, weight) VALUES (_queue, _fair_key, _weight)
    -- A row of the same transaction.
    ON CONFLICT ON CONSTRAINT fair_weight_change_pkey DO UPDATE SET weight = excluded.weight, asked_at = excluded.asked_at;
END
$$;
