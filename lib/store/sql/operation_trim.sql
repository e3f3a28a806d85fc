-- operation_trim: deletes operations that ended more than 14 days ago, the oldest first.
--
-- Guard:      rows that another session has locked are skipped.
-- Parameters: $1 limit.
-- Answer:     the number of deleted operations.
-- Index:      operation_finished.
WITH old AS (
    DELETE FROM leasehold.operation o WHERE o.id = ANY (ARRAY(
        SELECT f.id FROM leasehold.operation f
        WHERE f.finished_at < now() - interval '14 days' ORDER BY f.finished_at LIMIT $1::bigint
        FOR UPDATE SKIP LOCKED))
    RETURNING 1
)
SELECT count(*) AS deleted FROM old
