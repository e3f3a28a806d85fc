-- fair_lock: the number of the advisory lock of the shares of a queue. A session that gives tags to jobs of the queue holds this
-- lock until the end of its transaction.
--
-- Guard:      none, it reads no table.
-- Parameters: a queue.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.fair_lock(_queue text) RETURNS bigint
LANGUAGE sql IMMUTABLE AS $$
    SELECT hashtextextended('leasehold.fair:' || _queue, 0)
$$;
