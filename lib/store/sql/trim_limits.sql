-- trim_limits: deletes slots whose runs have ended, and buckets that are full.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the key after which to begin, $2 the maximum number of keys.
-- Zero rows:  never. One row: the last key that the call examined, or NULL if there are no more keys.
-- Index:      see the function.
SELECT leasehold.trim_limits($1::text, $2::integer) AS last_key
