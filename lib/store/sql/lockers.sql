-- lockers: the sessions whose transactions have locked the rows of some jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  none of these rows is locked; or PostgreSQL does not show the transactions of other roles to this one, as in explain.
-- Locks:      as in explain: a transaction that is younger than 200 ms is left out.
-- Index:      job_pkey.
SELECT l.id, a.pid, nullif(a.application_name, '') AS application, a.xact_start AS since
FROM leasehold.job l
JOIN pg_stat_activity a ON a.backend_xid = l.xmax
WHERE l.id = ANY ($1::uuid[]) AND a.xact_start < clock_timestamp() - interval '200 ms'
