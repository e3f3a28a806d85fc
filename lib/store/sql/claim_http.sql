-- claim_http: queued → running, for HTTP workers of one queue and the same kinds, one claim after the other. It also notes which
-- claim has started which run.
--
-- Guard:      the guard of the function.
-- Parameters: $1 workers, $2 ids of the claims, $3 whether the worker knows the id, $4 maximum numbers of jobs, $5 leases in ms,
--             $6 the index in $7 of the last id that is for the claim. $1 to $6 have a value for each claim. $7 ids, each once,
--             the ids of the first claim first, $8 kinds, or NULL for every kind, $9 the queue of the hints, $10 the time for the
--             answer in ms, $11 whether to try jobs with limit keys: only with one claim, so that no call waits for a key with
--             the locks of other keys, $12 how soon a token must come, in ms.
-- Answer:     the runs, with the number of their claim. A row without an id: another process is executing the same claim. A call
--             with only one claim waits for the other process instead.
-- Zero rows:  see the function.
-- Index:      see the function.
SELECT c.nth, r.id, r.epoch, r.queue, r.kind, r.payload, r.attempt, r.max_attempts, r.crashes, r.timeout_ms, r.line_at, r.due_at,
       r.started_at, r.rare_words, r.limit_keys, r.begins_in_us, r.lease_expires_at
FROM (
    SELECT c.*, lag(c.last, 1, 0) OVER (ORDER BY c.nth) + 1 AS first
    FROM unnest($1::uuid[], $2::text[], $3::boolean[], $4::bigint[], $5::bigint[], $6::integer[])
         WITH ORDINALITY c(worker, claim_id, is_named, jobs, lease_ms, last, nth)
    ORDER BY c.nth
) c
CROSS JOIN LATERAL leasehold.claim_http(
    c.worker, c.claim_id, c.is_named, cardinality($1::uuid[]) = 1, ($7::uuid[])[c.first:c.last], $8::text[], c.lease_ms, c.jobs,
    $9::text, $10::bigint, $11::boolean, $12::bigint) r
