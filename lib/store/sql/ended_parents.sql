-- ended_parents: continues with ended parents: tells the children that have not been told of the end yet.
--
-- Guard:      the guard of parents_ended. A parent that another session has locked is skipped.
-- Parameters: $1 limit, $2 a time: only parents that were noted at this time or before. A parent that is noted again has a
--             later time.
-- Answer:     the jobs that are now in the line.
-- Zero rows:  no job came into the line.
-- Index:      none: the table is small. Then see parents_ended.
WITH due AS MATERIALIZED (
    DELETE FROM leasehold.ended_parent p
    WHERE p.parent = ANY (ARRAY(
        SELECT n.parent FROM leasehold.ended_parent n
        WHERE n.noted_at <= $2::timestamptz ORDER BY n.noted_at LIMIT $1::bigint FOR UPDATE SKIP LOCKED))
    RETURNING p.parent, p.state
)
SELECT u.id, u.queue, u.line_at
FROM (SELECT array_agg(d.parent) AS ids, array_agg(d.state::text) AS states FROM due d) parents
CROSS JOIN LATERAL leasehold.parents_ended(parents.ids, parents.states, 1000) u
WHERE parents.ids IS NOT NULL
