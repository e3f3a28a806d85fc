-- edges_miscounted: the counters of blocked jobs agree with their edges.
-- Index: job_blocked, edge_pkey, edge_count_pkey.
SELECT j.id, format('waits for %s edges and counters, and has %s', j.unmet, counted.unmet) AS detail
FROM leasehold.job j
CROSS JOIN LATERAL (
    SELECT (SELECT count(*) FROM leasehold.edge e WHERE e.child = j.id AND NOT e.met AND e.shard IS NULL)
         + (SELECT count(*) FROM leasehold.edge_count c WHERE c.child = j.id AND c.unmet > 0) AS unmet
) counted
WHERE j.state = 'blocked' AND j.unmet IS DISTINCT FROM counted.unmet
UNION ALL
SELECT c.child, format('counter %s says %s, and has %s edges', c.shard, c.unmet, counted.unmet)
FROM leasehold.job j
JOIN leasehold.edge_count c ON c.child = j.id
CROSS JOIN LATERAL (
    SELECT count(*) AS unmet FROM leasehold.edge e WHERE e.child = c.child AND e.shard = c.shard AND NOT e.met
) counted
WHERE j.state = 'blocked' AND c.unmet <> counted.unmet
LIMIT 100
