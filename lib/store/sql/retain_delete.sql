-- retain_delete: rows of the default partition that are older than they are kept, up to a limit.
--
-- Guard:      age; a row that somebody else has locked is passed over.
-- Parameters: $1 how long finished jobs are kept, in seconds, $2 limit.
-- Answer:     how many were deleted.
-- Index:      none; the default partition is empty but for accidents.
WITH old AS MATERIALIZED (
    SELECT d.ctid FROM leasehold.history_default d
    WHERE d.finished_at < now() - $1::bigint * interval '1 second'
    LIMIT $2::bigint FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.history_default d WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM old o)) RETURNING d.id
)
SELECT count(*) AS deleted FROM gone
