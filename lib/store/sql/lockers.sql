-- lockers: the sessions whose transactions have locked the rows of some jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  no row of these is locked; or PostgreSQL does not show the transactions of other roles to the role of this session,
--             as in explain.
-- Locks:      see locker_of.
-- Index:      job_pkey.
SELECT l.id, locker.pid, locker.application, locker.since, locker.state,
       round(extract(epoch FROM clock_timestamp() - locker.since))::bigint AS open_s
FROM leasehold.job l
CROSS JOIN LATERAL (
    -- include locker_of: xmaxes = ARRAY[l.xmax]; table = leasehold.job
) locker
WHERE l.id = ANY ($1::uuid[]) AND l.xmax <> '0'
