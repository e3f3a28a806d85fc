-- end_periods: deletes unique keys whose period has ended. This only saves space: an enqueue takes over such a key itself.
--
-- Guard:      the period has ended by the database's clock. A row that another session has locked is skipped: it may get a new
--             period.
-- Parameters: $1 limit.
-- Zero rows:  no period has ended.
-- Index:      unique_period_until; then unique_period_pkey.
DELETE FROM leasehold.unique_period p
WHERE p.key = ANY (ARRAY(
    SELECT o.key FROM leasehold.unique_period o
    WHERE o.until <= now()
    ORDER BY o.until LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED))
RETURNING p.key::text AS key
