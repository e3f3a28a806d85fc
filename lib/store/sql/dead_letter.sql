-- dead_letter: what a job has to do with dead letters: the job that died, if it is one; and the letters that it has left.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id.
-- Zero rows:  nothing.
-- Index:      dead_letter_pkey, dead_letter_died.
SELECT d.job, d.died, d.died_in::text AS died_in, d.error, d.made_at FROM leasehold.dead_letter d WHERE d.job = $1
UNION ALL
SELECT d.job, d.died, d.died_in::text, d.error, d.made_at FROM leasehold.dead_letter d WHERE d.died = $1
ORDER BY made_at
