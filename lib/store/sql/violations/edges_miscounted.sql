-- edges_miscounted: the counters of blocked jobs agree with their edges.
-- Index: job_blocked, edge_pkey, edge_count_pkey.
SELECT j.id, format('waits for %s edges and counters, and has %s', j.unmet, counted.unmet) AS detail
FROM leasehold.job j
CROSS JOIN LATERAL (
    SELECT CASE WHEN EXISTS (SELECT FROM leasehold.edge_count c WHERE c.child = j.id)
                THEN (SELECT count(*) FROM leasehold.edge_count c WHERE c.child = j.id AND c.unmet > 0)
                ELSE (SELECT count(*) FROM leasehold.edge e WHERE e.child = j.id AND NOT e.met) END AS unmet
) counted
WHERE j.state = 'blocked' AND j.unmet IS DISTINCT FROM counted.unmet
UNION ALL
SELECT j.id, format('its counters say %s, and it has %s edges', counted.unmet, counted.edges)
FROM leasehold.job j
CROSS JOIN LATERAL (
    SELECT (SELECT sum(c.unmet) FROM leasehold.edge_count c WHERE c.child = j.id) AS unmet,
           (SELECT count(*) FROM leasehold.edge e WHERE e.child = j.id AND NOT e.met) AS edges
) counted
WHERE j.state = 'blocked' AND counted.unmet <> counted.edges
LIMIT 100
