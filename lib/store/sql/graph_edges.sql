-- graph_edges: the dependencies among some jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  no job of these depends on another job of these.
-- Index:      edge_pkey.
SELECT e.parent, e.child, e.met, e.on_parent_failure::text AS on_parent_failure
FROM leasehold.edge e
WHERE e.child = ANY ($1::uuid[]) AND e.parent = ANY ($1::uuid[])
ORDER BY e.child, e.nth
