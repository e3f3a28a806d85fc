-- once_answer: the answer to the request that has this Idempotency-Key.
--
-- Parameters: $1 key.
-- Zero rows:  the transaction that had taken the key was rolled back: the request is executed again.
-- Index:      idempotency_pkey.
SELECT i.fingerprint, i.answer::text AS answer FROM leasehold.idempotency i WHERE i.key = $1
