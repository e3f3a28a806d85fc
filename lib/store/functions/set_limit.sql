-- set_limit: sets the limit of a key, or of every key that matches a pattern. It replaces the earlier limit.
--
-- Guard:      none, it locks nothing that others use: the caller's transaction may stay open. The change waits in leasehold.limit_change.
--             The first claim after the commit that meets such a key applies the change, or refuses the job: see
--             claim_limited. If there is no such claim, the next tick of a reaper applies the change.
-- Parameters: the key, or a pattern: the beginning of keys and a *; the most runs at the same time, or NULL for any number; the
--             most starts in a time, such as '10/s', '600/m' or '5/h', or NULL for any number; the most starts at one moment, by
--             default the starts of one second. A limit that cannot be read fails with invalid_parameter_value.
-- Lower:      if the new limit is lower, runs that have begun continue. A new run starts when fewer runs are active than the
--             limit allows.
-- Index:      limit_change_pkey.
-- Rights:     of the caller, which is an operator.
-- Overloads:  a rate may be written as a number of starts per second, also alone. A bigint without a name, such as a count, is
--             `running`. A numeric without a name may mean both, and fails.
CREATE OR REPLACE FUNCTION leasehold.set_limit(
    key text, running integer DEFAULT NULL, rate text DEFAULT NULL, burst integer DEFAULT NULL
) RETURNS void
LANGUAGE plpgsql AS $$
#variable_conflict use_variable
DECLARE
    parts text[] := regexp_match(rate, '^\s*([0-9]{1,9}(?:\.[0-9]{1,9})?)\s*(?:/\s*(s|m|h|d))?\s*$');
    per_second double precision := parts[1]::double precision
        / CASE coalesce(parts[2], 's') WHEN 's' THEN 1 WHEN 'm' THEN 60 WHEN 'h' THEN 3600 ELSE 86400 END;
    wrong text := CASE
        WHEN key IS NULL OR octet_length(key) NOT BETWEEN 1 AND 512
            THEN format('key is %s bytes long; it must be from 1 to 512', coalesce(octet_length(key), 0))
        WHEN running IS NULL AND rate IS NULL THEN 'give running, rate, or both; remove_limit ends a limit'
        WHEN running NOT BETWEEN 0 AND 1000000 THEN format('running is %s; it must be from 0 to 1000000', running)
        WHEN rate IS NOT NULL AND parts IS NULL
            THEN format('rate %L is no rate; write starts in a time, such as 10/s, 600/m, 5/h or 100/d', left(rate, 100))
        WHEN per_second <= 0 OR per_second > 1000000
            THEN format('rate %L is out of bounds; it must be more than nothing and at most 1000000/s', left(rate, 100))
        WHEN burst IS NOT NULL AND rate IS NULL THEN 'burst needs a rate'
        WHEN burst NOT BETWEEN 1 AND 1000000 THEN format('burst is %s; it must be from 1 to 1000000', burst)
    END;
BEGIN
    IF wrong IS NOT NULL THEN
        RAISE EXCEPTION 'leasehold.set_limit: %', wrong USING ERRCODE = 'invalid_parameter_value';
    END IF;
    INSERT INTO leasehold.limit_change AS c (key, running, rate, rate_text, burst)
    VALUES (key, running, per_second, parts[1] || '/' || coalesce(parts[2], 's'),
            CASE WHEN rate IS NOT NULL THEN coalesce(burst, greatest(1, ceil(per_second)::integer)) END)
    -- A row of the same transaction.
    ON CONFLICT ON CONSTRAINT limit_change_pkey DO UPDATE
    SET running = excluded.running, rate = excluded.rate, rate_text = excluded.rate_text, burst = excluded.burst,
        asked_at = excluded.asked_at;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.set_limit(key text, running integer, rate numeric, burst integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM leasehold.set_limit(key, running, trim_scale(rate)::text, burst);
END
$$;

-- For `set_limit('k', rate => 10)`. The third parameter only keeps calls without names, such as `set_limit('k', 3, 10)`, from this overload.
CREATE OR REPLACE FUNCTION leasehold.set_limit(key text, rate numeric, boolean DEFAULT NULL, burst bigint DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    -- A number beyond all bounds stays so.
    PERFORM leasehold.set_limit(key, NULL::integer, trim_scale(rate)::text, CASE WHEN burst IS NOT NULL THEN greatest(0, least(burst, 2000000)) END::integer);
END
$$;

CREATE OR REPLACE FUNCTION leasehold.set_limit(key text, running bigint) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF running NOT BETWEEN 0 AND 1000000 THEN
        RAISE EXCEPTION 'leasehold.set_limit: running is %; it must be from 0 to 1000000', running
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM leasehold.set_limit(key, running::integer);
END
$$;

CREATE OR REPLACE FUNCTION leasehold.set_limit(key text, running numeric) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    IF running <> trunc(running) OR running NOT BETWEEN 0 AND 1000000 THEN
        RAISE EXCEPTION 'leasehold.set_limit: running is %; it must be a whole number from 0 to 1000000', running
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM leasehold.set_limit(key, running::integer);
END
$$;
