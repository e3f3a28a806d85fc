-- retain_edges: deletes the edges and counters of jobs that have left history, up to a limit of jobs.
--
-- Guard:      the child is in neither table. The id of a job is not used again.
-- Parameters: $1 the retention of finished jobs, in seconds, $2 limit.
-- Answer:     the number of deleted edges, and of their children.
-- Index:      edge_created; job_pkey, and the primary keys of the partitions of history; then edge_pkey, edge_count_pkey.
WITH old AS MATERIALIZED (
    SELECT DISTINCT e.child FROM leasehold.edge e
    WHERE e.created_at < now() - $1::bigint * interval '1 second'
      AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.id = e.child)
      AND NOT EXISTS (SELECT FROM leasehold.history h WHERE h.id = e.child)
    LIMIT $2::bigint
), counters AS (
    DELETE FROM leasehold.edge_count c WHERE c.child = ANY (ARRAY(SELECT o.child FROM old o))
), gone AS (
    DELETE FROM leasehold.edge e WHERE e.child = ANY (ARRAY(SELECT o.child FROM old o)) RETURNING e.child
)
SELECT count(*) AS edges, count(DISTINCT g.child) AS children FROM gone g
