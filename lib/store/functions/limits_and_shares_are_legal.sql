-- limits_and_shares_are_legal: whether the columns of a job that belong to its limits and to its fair share fit together. If not, the
-- error names the rule that is broken.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller. PUBLIC may call it (migration 0034), because every write of a job names it.
-- Why:        PostgreSQL reads the text of a CHECK again for every statement that writes a row. The text of five CHECKs was two
--             thirds of what all CHECKs of a job cost. Now one CHECK asks whether the job has a limit key or a fair key, and
--             calls this function only if so.
CREATE OR REPLACE FUNCTION leasehold.limits_and_shares_are_legal(
    state leasehold.job_state, line_at timestamptz, limit_keys text[], limited_by text, limited_at timestamptz,
    fair_key text, fair_at timestamptz, fair_tag double precision, fair_nth bigint) RETURNS boolean
LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
DECLARE
    broken text := CASE
        WHEN cardinality(limit_keys) NOT BETWEEN 1 AND 8 OR array_position(limit_keys, NULL) IS NOT NULL
             OR octet_length(array_to_string(limit_keys, '')) NOT BETWEEN 1 AND 4096
            THEN 'limit_keys_are_1_to_8'
        WHEN octet_length(fair_key) NOT BETWEEN 1 AND 512
            THEN 'fair_key_is_1_to_512_bytes'
        WHEN limited_at IS NOT NULL
             AND NOT (state = 'queued' AND line_at = 'infinity' AND limited_by IS NOT NULL AND limit_keys IS NOT NULL)
            THEN 'limited_waits_behind_the_line'
        WHEN fair_at IS NOT NULL
             AND NOT (state = 'queued' AND line_at = 'infinity' AND fair_key IS NOT NULL AND fair_tag IS NULL
                      AND limited_at IS NULL AND limited_by IS NULL)
            THEN 'parked_waits_behind_the_line'
        WHEN fair_tag IS NOT NULL AND (fair_key IS NULL OR fair_nth IS NULL)
            THEN 'admitted_has_a_fair_key'
    END;
BEGIN
    IF broken IS NOT NULL THEN
        RAISE EXCEPTION 'new row for relation "job" violates the rule "%"', broken
            USING ERRCODE = 'check_violation', SCHEMA = 'leasehold', TABLE = 'job', CONSTRAINT = broken;
    END IF;
    RETURN true;
END
$$;
