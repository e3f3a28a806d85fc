-- parents: the parents of a job, in the order of its depends_on, with their results.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id of the child; $2 how many bytes of results are read. Results beyond are left out.
-- Zero rows:  the job has no parents.
-- Index:      edge_pkey; then job_pkey, and the primary keys of the partitions of history.
SELECT p.id, p.kind, p.state, CASE WHEN p.bytes <= $2::bigint THEN p.result::text END AS result,
       p.result IS NOT NULL AND p.bytes > $2::bigint AS is_left_out, p.met, p.on_parent_failure
FROM (
    SELECT e.parent AS id, e.nth, j.kind, j.state, j.result, e.met, e.on_parent_failure::text AS on_parent_failure,
           sum(octet_length(j.result::text)) OVER (ORDER BY e.nth) AS bytes
    FROM leasehold.edge e
    LEFT JOIN LATERAL (
        SELECT j.kind, j.state, j.result FROM leasehold.jobs j WHERE j.id = e.parent LIMIT 1
    ) j ON true
    WHERE e.child = $1
) p
ORDER BY p.nth
