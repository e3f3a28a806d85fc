-- is_off_clock: whether the time in an id differs from the time of the enqueue by more than two seconds. The time in a
-- usual id, a UUIDv7, does not.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller. PUBLIC may call it (migration 0011), because every write of a job computes it.
-- Keep:       its answers. The indexes job_not_on_clock and history_not_on_clock contain them. To change an answer, a migration must
--             build both indexes again, from a function with another name.
CREATE OR REPLACE FUNCTION leasehold.is_off_clock(id uuid, created_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- date_part of an interval, because date_part of a timestamptz can depend on the time zone.
    SELECT CASE WHEN isfinite(created_at)
        THEN abs(('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint
                 - (date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint) > 2000
        ELSE true END
$$;
