-- limit_set: sets the limit of a key or of a pattern.
--
-- Guard:      the guard of the function.
-- Parameters: $1 key, $2 the most runs at the same time, or NULL, $3 rate, or NULL, $4 burst, or NULL, $5 lock timeout, such as 200ms.
--             After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      see the function.
SELECT leasehold.set_limit($1::text, $2::integer, $3::text, $4::integer)::text
WHERE (SELECT set_config('lock_timeout', $5::text, true)) IS NOT NULL
