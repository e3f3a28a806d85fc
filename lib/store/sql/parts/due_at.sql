-- due_at: since when a job had been due when a claim took it, without time before its queue was last resumed. NULL for a
-- job whose last run was given back or lost, and for a job with parents: its run_at is earlier than the moment from which it could run.
-- The program subtracts it from started_at.
--
-- Takes:      resumed_at = (SELECT greatest(max(q.resumed_at), now() - interval '1000 days') FROM leasehold.queue q WHERE q.name = $queue); queue = NULL
-- From:       rows of leasehold.job after start_run, as `j`.
--             resumed_at: when the queue was last resumed. If it is not given, queue: the name of the queue.
-- Index:      queue_pkey, one probe for the statement.
-- Times:      a time that somebody wrote by hand may be infinite, so the answer is at most 1,000 days ago.
CASE WHEN j.crashes = 0 AND j.unmet IS NULL AND (j.trail IS NULL OR j.trail -> -1 ->> 'verb' <> 'release') THEN
    greatest(j.run_at, j.created_at, $resumed_at) END
