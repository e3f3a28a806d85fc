-- is_dead_letter: whether a job is the dead letter of another job. Needed only for a job whose encrypted payload belongs to
-- another job.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the job, $2 the job that died.
-- Zero rows:  never.
-- Index:      dead_letter_pkey.
SELECT EXISTS (SELECT FROM leasehold.dead_letter d WHERE d.job = $1 AND d.died = $2)
