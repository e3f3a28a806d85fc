-- limit_exceeded: a key has no more live leases than its limit. There may be more runs after a limit was lowered, or after a new
-- pattern matched the key. In this case, the youngest of these runs began before the change.
-- Index: job_lease, key_limit_pkey, key_limit_pattern.
SELECT NULL::uuid AS id, format('limit key %L has %s runs, and its limit is %s', r.key, r.runs, l.running) AS detail
FROM (SELECT k.key, count(*) AS runs, max(j.started_at) AS youngest
      FROM leasehold.job j CROSS JOIN LATERAL unnest(j.limit_keys) k(key)
      WHERE j.lease_expires_at IS NOT NULL AND j.limit_keys IS NOT NULL
      GROUP BY k.key) r
CROSS JOIN LATERAL (
    SELECT e.running, greatest(e.changed_at, e.widened_at) AS changed_at FROM leasehold.key_limit e
    WHERE e.key = r.key OR (right(e.key::text, 1) = '*' AND starts_with(r.key, left(e.key::text, -1)))
    ORDER BY (e.key = r.key) DESC, length(e.key::text) DESC LIMIT 1
) l
WHERE r.runs > l.running AND r.youngest > l.changed_at
LIMIT 100
