-- forget_batches: deletes batches whose jobs have all left history.
--
-- Guard:      the exclusive lock on the row: while it is held, no job can join. After the lock, the call searches for jobs
--             again, with a new snapshot. A batch of the last day is kept, so that a batch that was just made does not vanish.
-- Parameters: the most batches of one call.
-- Answer:     the number of deleted batches.
-- Index:      batch_created; one probe of job_batch and one of history_batch for each batch.
-- Rights:     of the caller, which is a reaper.
CREATE OR REPLACE FUNCTION leasehold.forget_batches(_limit integer) RETURNS bigint
LANGUAGE plpgsql AS $$
DECLARE
    names text[];
    deleted bigint;
BEGIN
    SELECT array_agg(old.name) INTO names
    FROM (SELECT b.name::text AS name FROM leasehold.batch b
          WHERE b.created_at < now() - interval '1 day'
            AND (b.sealed_at IS NULL OR b.completed_at IS NOT NULL)
            AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text)
            AND NOT EXISTS (SELECT FROM leasehold.history h WHERE h.batch = b.name::text)
          ORDER BY b.created_at LIMIT _limit
          FOR UPDATE SKIP LOCKED) old;
    DELETE FROM leasehold.batch b
    WHERE b.name = ANY (names)
      AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text)
      AND NOT EXISTS (SELECT FROM leasehold.history h WHERE h.batch = b.name::text);
    GET DIAGNOSTICS deleted = ROW_COUNT;
    RETURN deleted;
END
$$;
