-- audit: who has changed what, the newest first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 only rows of the last so many milliseconds, or NULL, $2 limit.
-- Zero rows:  there are none.
-- Index:      audit_pkey.
SELECT a.id, a.at, a.actor, a.action, a.target, a.detail, a.db_user
FROM leasehold.audit a
WHERE $1::bigint IS NULL OR a.at >= now() - $1::bigint * interval '1 millisecond'
ORDER BY a.id DESC
LIMIT $2::bigint
