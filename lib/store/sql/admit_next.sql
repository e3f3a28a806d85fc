-- admit_next: does the same as admit, for the next keys that jobs wait for. A reaper sends it.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the key after which to begin, $2 the maximum number of keys, $3 the maximum number of jobs for each queue and kind
--             of a key.
-- Zero rows:  never. The last row has no job. It has the last key that the call examined, or NULL if there are no more keys.
-- Index:      see the function.
SELECT a.id, a.queue, a.line_at, a.last_key FROM leasehold.admit_next($1::text, $2::integer, $3::integer) a
