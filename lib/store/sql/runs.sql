-- runs: the facts about a run that an HTTP worker does not send with the end of the run, but that the server needs to
-- write this end.
--
-- Guard:      none, it only reads. The end of the run names its fence.
-- Parameters: $1 ids.
-- Zero rows:  a job that is not in the answer has finished, or never existed.
-- Index:      job_pkey.
SELECT j.id, j.epoch, j.queue::text AS queue, j.kind::text AS kind, j.attempt, j.max_attempts, j.line_at, j.retry::text AS retry,
       (extract(epoch FROM j.retry_until - now()) * 1000)::bigint AS retry_ms_left
FROM leasehold.job j
WHERE j.id = ANY ($1::uuid[])
