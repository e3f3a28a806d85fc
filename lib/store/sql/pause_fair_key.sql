-- pause_fair_key: pauses a fair key in a queue. Its admitted jobs are parked in the same transaction.
--
-- Guard:      the guard of the functions. The transaction is this statement alone.
-- Parameters: $1 queue, $2 key, $3 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  never.
-- Index:      see the functions.
SELECT s.changed, ARRAY(SELECT leasehold.park_again(CASE WHEN s.changed IS NOT NULL THEN $1::text END, $2::text)) AS parked
FROM (SELECT leasehold.pause_fair_key(CASE WHEN set_config('lock_timeout', $3::text, true) IS NOT NULL THEN $1::text END,
                                      $2::text) AS changed OFFSET 0) s
