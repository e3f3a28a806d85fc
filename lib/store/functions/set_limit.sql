-- set_limit: sets the limit of a key, or of every key that begins like a pattern. It replaces the limit that was set before.
--
-- Guard:      no claim of a job with limit keys is under way: the lock of all limits. Until the caller's transaction ends, no such job
--             starts.
-- Parameters: the key, or a pattern that ends in *; the most runs at the same time, or NULL for any number; the most starts in a time,
--             such as '10/s', '600/m' or '5/h', or NULL for any number; the most starts at one moment, by default the starts
--             of one second. A limit that cannot be read fails with invalid_parameter_value.
-- Lower:      runs that have begun go on. A new one starts when fewer run than are allowed.
-- Slots:      runs of the key that began while their number had no limit get slots now, so that they count.
-- Index:      key_limit_pkey; job_lease: all running jobs are read.
-- Rights:     of the caller, which is an operator.
-- Overloads:  two, because a rate may be written as a number of starts per second.
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
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE EXCEPTION 'leasehold.set_limit: a limit can be set only in a READ COMMITTED transaction'
            USING ERRCODE = 'feature_not_supported';
    END IF;
    PERFORM pg_advisory_xact_lock(leasehold.key_lock(NULL));
    INSERT INTO leasehold.key_limit AS l (key, running, rate, rate_text, burst, changed_at)
    VALUES (key, running, per_second, parts[1] || '/' || coalesce(parts[2], 's'),
            CASE WHEN rate IS NOT NULL THEN coalesce(burst, greatest(1, ceil(per_second)::integer)) END, clock_timestamp())
    ON CONFLICT ON CONSTRAINT key_limit_pkey DO UPDATE
    SET running = excluded.running, rate = excluded.rate, rate_text = excluded.rate_text, burst = excluded.burst,
        changed_at = excluded.changed_at;
    IF running IS NOT NULL THEN
        INSERT INTO leasehold.limit_slot (key, slot, job, epoch)
        SELECT r.key, coalesce((SELECT max(s.slot) FROM leasehold.limit_slot s WHERE s.key = r.key), -1)
                      + row_number() OVER (PARTITION BY r.key ORDER BY r.id),
               r.id, r.epoch
        FROM (SELECT k.key, j.id, j.epoch
              FROM leasehold.job j CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
              WHERE j.lease_expires_at IS NOT NULL AND j.limit_keys IS NOT NULL
                AND (k.key = set_limit.key
                     OR (right(set_limit.key, 1) = '*' AND starts_with(k.key, left(set_limit.key, -1))))) r
        WHERE NOT EXISTS (SELECT FROM leasehold.limit_slot s WHERE s.key = r.key AND s.job = r.id AND s.epoch = r.epoch);
    END IF;
END
$$;

CREATE OR REPLACE FUNCTION leasehold.set_limit(key text, running integer, rate numeric, burst integer DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
BEGIN
    PERFORM leasehold.set_limit(key, running, trim_scale(rate)::text, burst);
END
$$;
