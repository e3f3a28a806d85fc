-- retain_http: deletes four sorts of rows: answers to requests with an Idempotency-Key, after a day; claims of HTTP
-- workers whose runs have ended; traces of jobs that have ended; and the notes that a worker was drained, after 30 days.
--
-- Parameters: $1 limit, for each of the four.
-- Zero rows:  never.
-- Index:      idempotency_created, http_claim_claimed, trace_created, job_pkey.
WITH answered AS (
    DELETE FROM leasehold.idempotency WHERE key IN (
        SELECT i.key FROM leasehold.idempotency i
        WHERE i.created_at < now() - interval '24 hours' ORDER BY i.created_at LIMIT $1::bigint
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
), old AS MATERIALIZED (
    SELECT c.job, c.epoch FROM leasehold.http_claim c
    WHERE c.claimed_at < now() - interval '1 hour'
      AND (SELECT true FROM leasehold.job j WHERE j.id = c.job AND j.epoch = c.epoch AND j.state::text = 'running') IS NULL
    ORDER BY c.claimed_at LIMIT $1::bigint
), ended AS (
    DELETE FROM leasehold.http_claim c USING old o WHERE c.job = o.job AND c.epoch = o.epoch
    RETURNING 1
), old_traces AS MATERIALIZED (
    SELECT t.job FROM leasehold.trace t
    WHERE t.created_at < now() - interval '1 hour' AND (SELECT true FROM leasehold.job j WHERE j.id = t.job) IS NULL
    ORDER BY t.created_at LIMIT $1::bigint
), traced AS (
    DELETE FROM leasehold.trace t USING old_traces o WHERE t.job = o.job
    RETURNING 1
), stopped AS (
    DELETE FROM leasehold.http_drain WHERE worker IN (
        SELECT d.worker FROM leasehold.http_drain d WHERE d.drained_at < now() - interval '30 days' LIMIT $1::bigint
        FOR UPDATE SKIP LOCKED)
    RETURNING 1
)
SELECT greatest((SELECT count(*) FROM answered), (SELECT count(*) FROM ended), (SELECT count(*) FROM traced), (SELECT count(*) FROM stopped)) AS deleted
