-- fold_counts: adds the changes of the numbers of jobs to the counts, or counts all jobs anew. The function of the same name does it.
--
-- Guard:      that of the function.
-- Parameters: $1 whether to count all jobs.
-- Zero rows:  never. NULL: another session is changing the counts.
-- Index:      those of the function.
SELECT leasehold.fold_counts($1)
