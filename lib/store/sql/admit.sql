-- admit: brings jobs that wait for room of some keys back into the line, because runs with these keys have ended.
--
-- Guard:      the guard of the function.
-- Parameters: $1 keys, $2 the maximum number of jobs for each queue and kind of a key.
-- Zero rows:  nothing waits for these keys, or they have no room.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at FROM leasehold.admit($1::text[], $2::integer) a
