-- graph_edges: the dependencies among some jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  none of the jobs depends on another one.
-- Index:      edge_pkey.
SELECT e.parent, e.child, e.met, e.on_parent_failure::text AS on_parent_failure
FROM leasehold.edge e
WHERE e.child = ANY ($1::uuid[]) AND e.parent = ANY ($1::uuid[])
ORDER BY e.child, e.nth
