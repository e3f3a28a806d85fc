-- key_lock: the number of the advisory lock of a limit key. A session that takes a slot or a token of the key holds this lock
-- until the end of its transaction. Two keys with the same number only wait for each other.
--
-- Guard:      none, it reads no table.
-- Parameters: a key, or NULL: the lock of all limits. Claims share the lock of all limits; a change of a limit has it alone.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.key_lock(_key text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended(coalesce('leasehold.limit:' || _key, 'leasehold.limits'), 0)
$$;
