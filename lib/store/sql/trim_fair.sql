-- trim_fair: deletes tags of fair keys that no longer have an effect.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the maximum number of tags.
-- Zero rows:  never. One row: the number of deleted tags.
-- Index:      see the function.
SELECT leasehold.trim_fair($1::integer) AS deleted
