-- cancel: jobs by id. Those that wait end here; a running one is flagged, and its worker ends the run.
--
-- Guard:      the row lock, taken in id order: whoever gets it first, this or a claim, decides.
-- Parameters: $1 ids, $2 how long to wait for a lock, such as 200ms. What takes longer fails with lock_not_available (55P03).
-- Zero rows:  for an id that is not in the answer there is no job, or it finished while this call waited for its
--             lock; a second call tells which.
-- Index:      job_pkey, and the primary keys of the partitions of history.
SELECT c.id, c.queue, c.state, c.worker, c.epoch, c.changed
FROM leasehold.cancel_batch($1::uuid[]) c
WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
