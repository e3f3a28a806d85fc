-- join_batch: lets a job that is about to be inserted join its batch. Makes the batch if it is new.
--
-- Guard:      a shared lock (FOR KEY SHARE) on the row of the batch until the transaction ends. seal_batch takes the exclusive
--             lock. So no job can join a sealed batch, and jobs that join at the same time do not wait for each other.
-- Parameters: the name of the batch, and the id of the job.
-- Sealed:     a job with this id that is live already is no new job. Otherwise object_not_in_prerequisite_state.
-- Index:      batch_pkey, job_pkey.
-- Rights:     of the caller. The functions that users may call have the rights of the owner.
CREATE OR REPLACE FUNCTION leasehold.join_batch(_batch text, _job uuid) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    sealed timestamptz;
BEGIN
    LOOP
        SELECT b.sealed_at INTO sealed FROM leasehold.batch b WHERE b.name = _batch FOR KEY SHARE;
        EXIT WHEN FOUND;
        INSERT INTO leasehold.batch (name) VALUES (_batch) ON CONFLICT DO NOTHING;
    END LOOP;
    IF sealed IS NOT NULL AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.id = _job) THEN
        RAISE EXCEPTION 'leasehold.enqueue: the batch % is sealed since %', quote_literal(left(_batch, 100)), sealed
            USING ERRCODE = 'invalid_parameter_value';
    END IF;
END
$$;
