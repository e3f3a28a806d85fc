-- time_of_id: the time in an id. An id that is no UUIDv7 has no time and counts as older than all others.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.time_of_id(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN get_byte(uuid_send(id), 6) >> 4 = 7
        THEN timestamptz '1970-01-01 00:00:00+00'
             + ('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint * interval '1 millisecond'
        ELSE timestamptz '-infinity' END
$$;
