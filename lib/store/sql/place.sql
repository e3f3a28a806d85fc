-- place: gives jobs that wait another priority or another queue, by id.
--
-- Guard:      the row lock, taken in id order. The first to lock the row, this statement or a claim, decides.
-- Parameters: $1 ids, $2 priority, or NULL to keep it, $3 queue, or NULL to keep it, $4 lock timeout, such as 200ms. After it,
--             the statement fails with lock_not_available (55P03).
-- Zero rows:  an id that is not in the answer belongs to no job, or the job finished while this call waited for its lock; a
--             second call says which.
-- Index:      job_pkey, and the primary keys of the partitions of history.
SELECT p.id, p.was_in, p.is_in AS queue, p.state, p.line_at, p.changed
FROM leasehold.place_batch($1::uuid[], $2::integer, $3::text) p
WHERE (SELECT set_config('lock_timeout', $4::text, true)) IS NOT NULL
