-- admit_next: the same for the next keys that jobs wait for, for a reaper.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the key after which to begin, $2 the maximum number of keys, $3 the maximum number of jobs for each queue and kind
--             of a key.
-- Zero rows:  never. The last row has no job, and the last key that was looked at; NULL if there are no more keys.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at, a.last_key FROM leasehold.admit_next($1::text, $2::integer, $3::integer) a
