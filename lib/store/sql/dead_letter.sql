-- dead_letter: the connections of a job with dead letters: if the job is a dead letter, the job that died; and the dead
-- letters that were made from this job.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id.
-- Zero rows:  the job has no such connection.
-- Index:      dead_letter_pkey, dead_letter_died.
SELECT d.job, d.died, d.died_in::text AS died_in, d.error, d.made_at FROM leasehold.dead_letter d WHERE d.job = $1
UNION ALL
SELECT d.job, d.died, d.died_in::text, d.error, d.made_at FROM leasehold.dead_letter d WHERE d.died = $1
ORDER BY made_at
