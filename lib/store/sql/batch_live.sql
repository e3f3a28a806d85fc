-- batch_live: the live jobs of a batch that no one has asked to cancel: one page, in the order of ids.
--
-- Guard:      none, it only reads. The statement that changes the jobs has its own guard.
-- Parameters: $1 name; $2 the id after which the page begins; $3 limit.
-- Zero rows:  there are no more jobs.
-- Index:      job_batch.
SELECT j.id FROM leasehold.job j
WHERE j.batch = $1::text AND j.id > $2::uuid AND j.cancel_requested_at IS NULL
ORDER BY j.id LIMIT $3::bigint
