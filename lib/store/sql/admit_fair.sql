-- admit_fair: brings parked jobs of a queue into the line, in the order of fair shares.
--
-- Guard:      the guard of the function.
-- Parameters: $1 queue, $2 the keys of jobs that have just been parked, none after the end of a run, or NULL to look at all lanes,
--             $3 how many admitted jobs of one kind may wait.
-- Zero rows:  nothing is parked, the window is full, another session admits jobs of this queue, or the queue is not fair.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at, a.limited_by, a.parked_by FROM leasehold.admit_fair($1::text, $2::text[], $3::integer) a
