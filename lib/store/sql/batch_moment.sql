-- batch_moment: whether a batch has live jobs, and whether it is awaited: sealed, and its callbacks are not decided yet. Cheap enough
-- to be asked again and again.
--
-- Guard:      none, it only reads.
-- Parameters: $1 name.
-- Zero rows:  there is no such batch.
-- Index:      batch_pkey, job_batch.
SELECT EXISTS (SELECT FROM leasehold.job j WHERE j.batch = b.name::text) AS has_live,
       b.sealed_at IS NOT NULL AND b.completed_at IS NULL AS is_awaited
FROM leasehold.batch b
WHERE b.name = $1::text
