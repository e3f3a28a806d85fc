-- http_delivery: notes that the server has written, or is still writing, the answers that contain these runs.
--
-- Guard:      the run was not reported as written before. A run that a reaper has given back stays as it is.
-- Parameters: $1 ids, $2 epochs, $3 the time for the rest of the answer in ms, or NULL if the answer was written.
-- Answer:     the runs that another session has locked: for these runs, nothing was noted yet. The other runs do not wait for
--             them.
-- Zero rows:  everything was noted.
-- Index:      http_claim_pkey.
WITH unknown AS MATERIALIZED (
    SELECT c.job, c.epoch FROM unnest($1::uuid[], $2::integer[]) AS r(id, epoch)
    CROSS JOIN LATERAL (
        SELECT c.job, c.epoch FROM leasehold.http_claim c
        WHERE c.job = r.id AND c.epoch = r.epoch AND c.deliver_by IS NOT NULL
        OFFSET 0
    ) c
), unlocked AS MATERIALIZED (
    SELECT c.job FROM (SELECT * FROM unknown ORDER BY job) u
    CROSS JOIN LATERAL (
        SELECT c.job FROM leasehold.http_claim c
        WHERE c.job = u.job AND c.epoch = u.epoch AND c.deliver_by IS NOT NULL
        FOR UPDATE SKIP LOCKED
    ) c
), told AS (
    UPDATE leasehold.http_claim c
    SET deliver_by = now() + $3::bigint * interval '1 millisecond'
    WHERE c.job = ANY (ARRAY(SELECT u.job FROM unlocked u))
)
SELECT u.job, u.epoch FROM unknown u WHERE NOT EXISTS (SELECT FROM unlocked l WHERE l.job = u.job)
