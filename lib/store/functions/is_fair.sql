-- is_fair: whether jobs with fair keys share a queue. If not, the keys are only labels.
--
-- Guard:      none, it only reads.
-- Parameters: a queue.
-- Index:      queue_pkey.
-- Rights:     of the caller.
CREATE OR REPLACE FUNCTION leasehold.is_fair(_queue text) RETURNS boolean
LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce((SELECT q.fair FROM leasehold.queue q WHERE q.name = _queue), true)
$$;
