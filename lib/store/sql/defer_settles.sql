-- defer_settles: stores results for a reaper to write. Changes no job.
--
-- Guard:      none: the fence is checked when the result is written.
-- Parameters: $1 ids, $2 epochs, $3 workers, $4 queues, $5 verbs, $6 texts (result, error or reason) or NULL, $7 delays in
--             ms, $8 the jobs that follow (JSON as text) or NULL.
-- Zero rows:  an earlier call, whose answer was lost, has already stored all of them.
-- Index:      deferred_settle_pkey.
INSERT INTO leasehold.deferred_settle (id, epoch, worker, queue, verb, text, delay_ms, following)
SELECT d.id, d.epoch, d.worker, d.queue, d.verb, d.text, d.delay_ms, d.following
FROM unnest($1::uuid[], $2::integer[], $3::uuid[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[])
     AS d(id, epoch, worker, queue, verb, text, delay_ms, following)
ON CONFLICT DO NOTHING
