-- run_without_slot: a run holds a slot of each of its limit keys that has a limit on running jobs.
-- Index: job_lease, limit_slot_pkey, key_limit_pkey, key_limit_pattern.
SELECT j.id, format('runs without a slot of limit key %L', k.key) AS detail
FROM leasehold.job j
CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
CROSS JOIN LATERAL leasehold.limit_of(k.key) l
WHERE j.lease_expires_at IS NOT NULL AND j.limit_keys IS NOT NULL AND l.running IS NOT NULL
  AND NOT EXISTS (SELECT FROM leasehold.limit_slot s WHERE s.key = k.key AND s.job = j.id AND s.epoch = j.epoch)
LIMIT 100
