-- finished: the finished jobs among some jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  an id that is not in the answer belongs to no job, or the job is live.
-- Index:      the primary keys of the partitions of history.
SELECT h.id, h.state::text AS state, h.result::text AS result, h.last_error
FROM leasehold.history h
WHERE h.id = ANY ($1::uuid[])
