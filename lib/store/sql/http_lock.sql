-- http_lock: the turn of a claim of an HTTP worker. In the transaction of the claim: the same claim in another process waits for its end.
--
-- Parameters: $1 worker, $2 claim.
-- Index:      none.
SELECT pg_advisory_xact_lock(hashtextextended('leasehold.http_claim ' || $1::uuid::text || ' ' || $2::text, 0))
