-- batch_moment: whether a batch has live jobs, and whether it is awaited. An awaited batch is sealed, and its callbacks are not
-- decided yet. The statement is cheap enough for repeated calls.
--
-- Guard:      none, it only reads.
-- Parameters: $1 name.
-- Zero rows:  there is no such batch.
-- Index:      batch_pkey, job_batch.
SELECT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text) AS has_live,
       b.sealed_at IS NOT NULL AND b.completed_at IS NULL AS is_awaited
FROM leasehold.batch b
WHERE b.name = $1::text
