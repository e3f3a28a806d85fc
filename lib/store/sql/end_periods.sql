-- end_periods: forgets unique keys whose time is over. An enqueue does not need this: it takes over a key whose time is over.
--
-- Guard:      the time is over by the database's clock. A row that another session has locked is skipped: it may get a new time.
-- Parameters: $1 limit.
-- Zero rows:  no time is over.
-- Index:      unique_period_until; then unique_period_pkey.
DELETE FROM leasehold.unique_period p
WHERE p.key = ANY (ARRAY(
    SELECT o.key FROM leasehold.unique_period o
    WHERE o.until <= now()
    ORDER BY o.until LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED))
RETURNING p.key::text AS key
