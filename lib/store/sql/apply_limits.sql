-- apply_limits: applies the requested changes of limits.
--
-- Guard:      the guard of the function. The transaction is this statement alone.
-- Parameters: $1 lock timeout, such as 200ms: how long to wait for the claims under way. During the wait, no other such claim
--             begins. After the timeout, the statement fails with lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      see the function.
SELECT leasehold.apply_limits(set_config('lock_timeout', $1::text, true) IS NOT NULL) AS done
