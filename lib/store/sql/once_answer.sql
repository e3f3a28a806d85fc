-- once_answer: the answer to the request that has this Idempotency-Key.
--
-- Parameters: $1 key.
-- Zero rows:  the transaction that had the key was rolled back: the request is sent again.
-- Index:      idempotency_pkey.
SELECT i.fingerprint, i.answer::text AS answer FROM leasehold.idempotency i WHERE i.key = $1
