-- cancel: cancels jobs by id. Waiting jobs end here. A running job is flagged, and its worker ends the run.
--
-- Guard:      the row lock, taken in id order. The first to lock the row, this statement or a claim, decides.
-- Parameters: $1 ids, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  an id that is not in the answer belongs to no job, or the job finished while this call waited for its lock; a
--             second call says which.
-- Index:      job_pkey, and the primary keys of the partitions of history.
SELECT c.id, c.queue, c.state, c.worker, c.epoch, c.changed
FROM leasehold.cancel_batch($1::uuid[]) c
WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
