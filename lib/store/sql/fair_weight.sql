-- fair_weight: sets the weight of a fair key, that is its part of the queue compared with the other keys, and applies the weight
-- in the same transaction. It parks the admitted jobs that wait.
--
-- Guard:      the guard of the functions. The transaction is this statement alone.
-- Parameters: $1 queue, $2 key, $3 weight, $4 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03),
--             and nothing has changed.
-- Zero rows:  no admitted job waited.
-- Index:      see the functions.
SELECT p.id
FROM (SELECT leasehold.set_fair_weight(CASE WHEN set_config('lock_timeout', $4::text, true) IS NOT NULL THEN $1::text END, $2::text,
                                       $3::double precision)::text AS done OFFSET 0) s
CROSS JOIN LATERAL leasehold.apply_fair_weights(CASE WHEN s.done IS NOT NULL THEN $1::text END) AS p(id)
