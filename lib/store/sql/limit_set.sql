-- limit_set: sets the limit of a key or of a pattern, and applies it in the same transaction: after the answer, no claim
-- uses the old limit.
--
-- Guard:      the guard of the functions. The transaction is this statement alone.
-- Parameters: $1 key, $2 the most runs at the same time, or NULL, $3 rate, or NULL, $4 burst, or NULL, $5 lock timeout, such as 200ms.
--             After it, the statement fails with lock_not_available (55P03), and nothing has changed.
-- Zero rows:  never.
-- Index:      see the functions.
SELECT leasehold.apply_limits(s.done IS NOT NULL) AS done
FROM (SELECT leasehold.set_limit($1::text, $2::integer, $3::text, $4::integer)::text AS done
      WHERE (SELECT set_config('lock_timeout', $5::text, true)) IS NOT NULL OFFSET 0) s
