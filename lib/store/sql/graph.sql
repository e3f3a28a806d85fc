-- graph: the jobs that a job depends on, the jobs that depend on it, and so on, up to a limit.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id, $2 limit.
-- Answer:     one row for each job, the nearest first. The columns are NULL for a job whose row has left history.
-- Index:      edge_pkey, edge_parent; then job_pkey, and the primary keys of the partitions of history.
WITH RECURSIVE around(id) AS (
    SELECT $1::uuid
    UNION
    SELECT e.id
    FROM around a
    CROSS JOIN LATERAL (
        SELECT c.child AS id FROM leasehold.edge c WHERE c.parent = a.id
        UNION ALL
        SELECT p.parent FROM leasehold.edge p WHERE p.child = a.id
    ) e
), nearest AS MATERIALIZED (
    SELECT a.id FROM around a LIMIT $2::bigint
)
SELECT n.id, j.kind, j.queue, j.state
FROM nearest n
LEFT JOIN LATERAL (SELECT j.kind, j.queue, j.state FROM leasehold.jobs j WHERE j.id = n.id LIMIT 1) j ON true
