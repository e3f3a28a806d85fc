-- once_begin: takes an Idempotency-Key for the request of this transaction. Waits for another transaction that has taken the key
-- and has not ended, up to the lock timeout.
--
-- Guard:      the key is free, or its answer is older than a day.
-- Parameters: $1 key, $2 fingerprint of the request.
-- Zero rows:  another request has the key: see once_answer.
-- Index:      idempotency_pkey.
INSERT INTO leasehold.idempotency AS i (key, fingerprint) VALUES ($1, $2)
ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = NULL, created_at = excluded.created_at
WHERE i.created_at < now() - interval '24 hours'
RETURNING true AS taken
