-- fair_weight: sets how much of a queue a fair key gets, compared with the other keys. Parks the admitted jobs that wait.
--
-- Guard:      the guard of the function.
-- Parameters: $1 queue, $2 key, $3 weight, $4 lock timeout, such as 200ms. After it, the statement fails with lock_not_available (55P03).
-- Zero rows:  no admitted job waited.
-- Index:      see the function.
SELECT p.id FROM leasehold.set_fair_weight(CASE WHEN set_config('lock_timeout', $4::text, true) IS NOT NULL THEN $1::text END, $2::text,
                                 $3::double precision) AS p(id)
