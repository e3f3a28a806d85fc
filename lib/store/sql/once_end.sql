-- once_end: remembers the answer to the request of this transaction, which has taken the key.
--
-- Parameters: $1 key, $2 answer.
-- Index:      idempotency_pkey.
UPDATE leasehold.idempotency SET answer = $2::text::json WHERE key = $1
