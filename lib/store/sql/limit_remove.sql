-- limit_remove: removes the limit of a key or of a pattern, and applies this change in the same transaction.
--
-- Guard:      the guard of the functions. The transaction is this statement alone.
-- Parameters: $1 key, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03), and nothing has
--             changed.
-- Zero rows:  never. One row: whether there was a limit to remove.
-- Index:      see the functions.
SELECT s.removed, leasehold.apply_limits(s.removed IS NOT NULL) AS done
FROM (SELECT leasehold.remove_limit($1::text) AS removed
      WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL OFFSET 0) s
