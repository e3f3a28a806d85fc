-- http_lock: takes the lock of one claim of an HTTP worker, in the transaction of the claim. If another process executes the same
-- claim, it waits for the end of this transaction.
--
-- Parameters: $1 worker, $2 claim.
-- Index:      none.
SELECT pg_advisory_xact_lock(hashtextextended('leasehold.http_claim ' || $1::uuid::text || ' ' || $2::text, 0))
