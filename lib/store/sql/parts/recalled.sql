-- recalled: the runs of a claim of an HTTP worker that have not ended, with a full lease from now on.
--
-- Takes:      claim; lease_ms; queue
-- Guard:      the fence of each run: the job runs with the epoch of the claim and with this worker, $1; and it is in the queue that the
--             client may work on.
-- Locked:     a row that another session has locked keeps its lease, as in renew. The run is in the answer.
-- Counts:     the statement names job_noted, because a renewal changes no number of jobs.
-- Index:      http_claim_by_id, then job_pkey.
WITH target AS MATERIALIZED (
    SELECT held.id
    FROM (SELECT c.job, c.epoch FROM leasehold.http_claim c WHERE c.worker = $1 AND c.claim_id = $claim::text ORDER BY c.job) run
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.id = run.job AND j.epoch = run.epoch AND j.worker = $1 AND j.state = 'running' AND j.queue::text = $queue
        FOR UPDATE SKIP LOCKED
    ) held
), renewed AS (
    UPDATE leasehold.job_noted j
    SET lease_expires_at = now() + $lease_ms::bigint * interval '1 millisecond'
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id, j.lease_expires_at
)
SELECT j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.payload::text AS payload, j.attempt, j.max_attempts,
       j.crashes, j.timeout_ms, j.line_at,
       NULL::timestamptz AS due_at, NULL::timestamptz AS started_at,
       -- include rare_words
       AS rare_words,
       NULL::text[] AS limit_keys, NULL::bigint AS begins_in_us,
       coalesce((SELECT r.lease_expires_at FROM renewed r WHERE r.id = j.id), j.lease_expires_at) AS lease_expires_at
FROM leasehold.http_claim c
CROSS JOIN LATERAL (
    SELECT j.* FROM leasehold.job j
    WHERE j.id = c.job AND j.epoch = c.epoch AND j.worker = $1 AND j.state = 'running' AND j.queue::text = $queue
    OFFSET 0
) j
WHERE c.worker = $1 AND c.claim_id = $claim::text
ORDER BY j.line_at, j.id
