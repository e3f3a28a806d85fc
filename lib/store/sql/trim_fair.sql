-- trim_fair: deletes tags of fair keys that mean nothing any more.
--
-- Guard:      the guard of the function.
-- Parameters: $1 the maximum number of tags.
-- Zero rows:  never. How many tags were deleted.
-- Index:      see the function.
SELECT leasehold.trim_fair($1::integer) AS deleted
