-- new_id: a new UUIDv7: 48 bits of milliseconds, then random bits, with version and variant set.
--
-- Guard:      none, it reads no table.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.new_id() RETURNS uuid
LANGUAGE sql VOLATILE PARALLEL SAFE AS $$
    SELECT encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                FROM 1 FOR 6),
            52, 1), 53, 1), 'hex')::uuid
$$;
