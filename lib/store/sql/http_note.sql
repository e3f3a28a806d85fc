-- http_note: notes which claim of an HTTP worker has started these runs. In the transaction of the claim.
--
-- Parameters: $1 worker, $2 claim, $3 ids of jobs that this transaction has claimed.
-- Answer:     the end of each lease.
-- Index:      job_pkey, http_claim_pkey.
WITH run AS MATERIALIZED (
    SELECT j.id, j.epoch, j.lease_expires_at FROM leasehold.job j WHERE j.id = ANY ($3::uuid[])
), noted AS (
    INSERT INTO leasehold.http_claim (job, epoch, worker, claim_id) SELECT r.id, r.epoch, $1::uuid, $2::text FROM run r
)
SELECT r.id, r.lease_expires_at FROM run r
