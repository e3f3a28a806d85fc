-- claim_limited: queued → running, for jobs that have limit keys, for hints that claim did not get.
--
-- Guard:      the guard of the function.
-- Parameters: $1 worker, $2 ids, each once and in the order of the line, $3 kinds, or NULL for every kind, $4 lease in ms, $5 the
--             maximum number of jobs, $6 the queue of the hints, $7 how soon a token must come, in ms.
-- Zero rows:  a job that is not in the answer cannot be claimed now, or can never be claimed again. Both are normal.
-- Index:      see the function.
SELECT c.id, c.epoch, c.queue, c.kind, c.payload, c.attempt, c.max_attempts, c.crashes, c.timeout_ms, c.line_at, c.limit_keys,
       NULL::timestamptz AS due_at, NULL::timestamptz AS started_at, c.begins_in_us,
       -- include rare_words_of_limited
       AS rare_words
FROM leasehold.claim_limited($1::uuid, $2::uuid[], $3::text[], $4::bigint, $5::bigint, $6::text, $7::bigint) c
