-- is_off_clock: whether an id does not say when its job was enqueued, within two seconds. An ordinary id is a UUIDv7 and does.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller. PUBLIC may call it (migration 0011), since whoever writes a job must be able to compute it.
-- Keep:       its answers. The indexes job_off_clock and history_off_clock are built from them: another answer for the same
--             job would need both indexes built anew, by a migration, under another name.
CREATE OR REPLACE FUNCTION leasehold.is_off_clock(id uuid, created_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- date_part of an interval: date_part of a timestamptz may depend on the time zone.
    SELECT CASE WHEN isfinite(created_at)
        THEN abs(('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint
                 - (date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint) > 2000
        ELSE true END
$$;
