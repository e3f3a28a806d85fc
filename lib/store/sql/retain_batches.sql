-- retain_batches: deletes batches whose jobs have all left history.
--
-- Guard:      the guard of the function.
-- Parameters: $1 limit.
-- Zero rows:  never.
-- Index:      batch_created, job_batch, history_batch.
SELECT leasehold.forget_batches($1::bigint::integer) AS deleted
