-- limit_remove: ends the limit of a key or of a pattern.
--
-- Guard:      the guard of the function.
-- Parameters: $1 key, $2 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  never. One row: whether there was such a limit.
-- Index:      key_limit_pkey.
SELECT leasehold.remove_limit($1::text) AS removed WHERE (SELECT set_config('lock_timeout', $2::text, true)) IS NOT NULL
