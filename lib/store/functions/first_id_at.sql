-- first_id_at: the lowest UUIDv7 of this time.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller. PUBLIC may call it (migration 0041), because each enqueue of many jobs does.
CREATE OR REPLACE FUNCTION leasehold.first_id_at(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rpad(encode(int8send((date_part('epoch', least(greatest(at, timestamptz '1970-01-01 00:00:00+00'),
                                                          timestamptz '6000-01-01 00:00:00+00')
                                            - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint << 16), 'hex'), 32, '0')::uuid
$$;
