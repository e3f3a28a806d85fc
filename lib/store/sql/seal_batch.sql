-- seal_batch: seals a batch: from now on no job can be added to it.
--
-- Guard:      the guard of the function: the exclusive lock on the row of the batch.
-- Parameters: $1 name; $2 on_success, $3 on_complete, $4 on_death: kinds, or NULL; $5 the queue of the callbacks; $6 lock timeout,
--             such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      batch_pkey.
SELECT leasehold.seal_batch($1::text, $2::text, $3::text, $4::text, $5::text) AS answer
WHERE (SELECT set_config('lock_timeout', $6::text, true)) IS NOT NULL
