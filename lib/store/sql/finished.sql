-- finished: those of some jobs that have reached their end.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  for an id that is not in the answer: no such job, or it is live.
-- Index:      the primary keys of the partitions of history.
SELECT h.id, h.state::text AS state, h.result::text AS result, h.last_error
FROM leasehold.history h
WHERE h.id = ANY ($1::uuid[])
