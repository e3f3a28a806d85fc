-- webhook_trim: deletes attempts that are older than the log is kept, the oldest first, and secrets that sign no more.
--
-- Guard:      rows that another session has locked are skipped.
-- Parameters: $1 the days for which the log is kept, $2 limit.
-- Answer:     the number of deleted attempts.
-- Index:      webhook_attempt_at.
WITH old AS (
    DELETE FROM leasehold.webhook_attempt a WHERE a.ctid = ANY (ARRAY(
        SELECT o.ctid FROM leasehold.webhook_attempt o
        WHERE o.at < now() - $1::integer * interval '1 day' ORDER BY o.at LIMIT $2::bigint
        FOR UPDATE SKIP LOCKED))
    RETURNING a.at
), ended AS (
    DELETE FROM leasehold.webhook_secret s WHERE s.until < now()
)
SELECT count(*) AS deleted FROM old
