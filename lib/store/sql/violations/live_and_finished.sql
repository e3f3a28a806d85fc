-- live_and_finished: a job must be in exactly one of the two tables. A job in both tables would run again after its
-- end.
-- Index: job_pkey and the primary keys of the partitions of history.
SELECT j.id, format('is %s in job, and %s in history since %s', j.state, h.state, h.finished_at) AS detail
FROM leasehold.job j JOIN leasehold.history h ON h.id = j.id
LIMIT 100
