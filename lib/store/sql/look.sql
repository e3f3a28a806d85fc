-- look: why some hints were not claimed: returns the live jobs among them.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  an id that is not in the answer belongs to no live job: its hint can be forgotten.
-- Index:      job_pkey.
SELECT j.id, j.state::text AS state, j.kind::text AS kind, q.paused_at IS NOT NULL AS paused, j.crashes,
       j.max_crashes,
       CASE WHEN j.lease_expires_at IS NOT NULL
           THEN (extract(epoch FROM least(greatest(j.lease_expires_at, '0001-01-01'), '9999-12-31') - now()) * 1000)::bigint
       END AS lease_ms_left
FROM leasehold.job j
LEFT JOIN leasehold.queue q ON q.name = j.queue
WHERE j.id = ANY ($1::uuid[])
