-- follow_fair: moves jobs of a queue to the place that the setting `fair` of the queue asks for. One batch.
--
-- Guard:      the guard of the function.
-- Parameters: $1 queue, $2 the maximum number of jobs.
-- Zero rows:  all jobs are where they belong, or their rows are locked.
-- Index:      see the function.
SELECT f.id, f.queue, f.line_at, f.limited_by FROM leasehold.follow_fair($1::text, $2::bigint) f
