-- retain_delete: deletes rows of the default partition that are older than the retention of their queue, up to a limit.
--
-- Guard:      age; a row that another session has locked is skipped.
-- Parameters: $1 the retention of finished jobs, in seconds, for queues without a setting, $2 limit.
-- Answer:     the number of deleted rows.
-- Index:      none; the default partition is normally empty.
WITH old AS MATERIALIZED (
    SELECT d.ctid FROM leasehold.history_default d
    LEFT JOIN leasehold.queue q ON q.name = d.queue
    WHERE d.finished_at < now() - coalesce(q.keep_days::bigint * 86400, $1::bigint) * interval '1 second'
    LIMIT $2::bigint FOR UPDATE OF d SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.history_default d WHERE d.ctid = ANY (ARRAY(SELECT o.ctid FROM old o)) RETURNING d.id
)
SELECT count(*) AS deleted FROM gone
