-- set_queue_encrypted: sets whether a queue takes encrypted payloads.
--
-- Guard:      the guard of the function.
-- Parameters: $1 queue, $2 whether it takes encrypted payloads, $3 lock timeout, such as 200ms. After it, the statement fails with
--             lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      queue_pkey.
SELECT leasehold.set_queue_encrypted($1::text, $2::boolean)
WHERE (SELECT set_config('lock_timeout', $3::text, true)) IS NOT NULL
