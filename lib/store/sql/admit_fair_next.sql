-- admit_fair_next: does the same as admit_fair, for the next queues that have jobs with fair keys. A reaper sends it.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the queue after which to begin, $2 the maximum number of queues, $3 how many admitted jobs of one kind may wait, $4 the
--             maximum number of jobs to move in a queue whose setting has changed.
-- Zero rows:  never. The last row has no job. It has the last queue that the call examined, or NULL if there are no more queues.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at, a.limited_by, a.parked_by, a.last_queue
FROM leasehold.admit_fair_next($1::text, $2::integer, $3::integer, $4::bigint) a
