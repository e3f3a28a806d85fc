-- fold_counts: adds the changes of the numbers of jobs to the counts, or counts all jobs again. Calls the function of the
-- same name.
--
-- Guard:      the guard of the function.
-- Parameters: $1 whether to count all jobs.
-- Zero rows:  never. NULL: another session is changing the counts.
-- Index:      see the function.
SELECT leasehold.fold_counts($1)
