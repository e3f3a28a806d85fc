-- http_note: notes which claim of an HTTP worker has started these runs. It runs in the transaction of the claim.
--
-- Parameters: $1 worker, $2 claim, $3 ids of jobs that this transaction has claimed, $4 the time for the answer in ms: an answer
--             that is not written within this time means that the server has died (http_undelivered).
-- Clock:      the transaction may have waited for locks, so the time for the answer begins now.
-- Answer:     the end of each lease.
-- Index:      job_pkey, http_claim_pkey.
WITH run AS MATERIALIZED (
    SELECT j.id, j.epoch, j.lease_expires_at FROM leasehold.job j WHERE j.id = ANY ($3::uuid[])
), noted AS (
    INSERT INTO leasehold.http_claim (job, epoch, worker, claim_id, deliver_by, lease_expires_at)
    SELECT r.id, r.epoch, $1::uuid, $2::text, clock_timestamp() + $4::bigint * interval '1 millisecond', r.lease_expires_at FROM run r
)
SELECT r.id, r.lease_expires_at FROM run r
