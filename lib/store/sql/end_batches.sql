-- end_batches: enqueues the callback jobs of batches whose first job is dead, or whose jobs have all ended.
--
-- Guard:      the guard of the function: each callback is made once.
-- Parameters: $1 limit.
-- Zero rows:  no callback is due.
-- Index:      batch_awaited, job_batch, history_batch.
SELECT e.id, e.queue, e.line_at FROM leasehold.end_batches($1::bigint::integer) e
