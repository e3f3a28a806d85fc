-- audit: the rows of the audit, which say who has changed what. The newest row comes first.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the greatest age of a row in ms, or NULL for all rows, $2 limit.
-- Zero rows:  the audit has no such row.
-- Index:      audit_pkey.
SELECT a.id, a.at, a.actor, a.action, a.target, a.detail, a.db_user
FROM leasehold.audit a
WHERE $1::bigint IS NULL OR a.at >= now() - $1::bigint * interval '1 millisecond'
ORDER BY a.id DESC
LIMIT $2::bigint
