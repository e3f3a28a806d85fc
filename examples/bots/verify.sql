-- The four queries that must all answer 0. `sh verify.sh` runs them.
--
-- held_twice  a job that exists twice: two bots could work on it
-- disagree the columns of the job do not agree with the holder of the job
-- stuck a job whose bot has disappeared, and that no reaper has taken back for a minute
-- overspent   a job that was tried more often than it may be
SELECT
    (SELECT count(*) FROM (SELECT id FROM leasehold.jobs GROUP BY id HAVING count(*) > 1) AS twice) AS held_twice,
    (SELECT count(*) FROM leasehold.jobs
      WHERE (state = 'running') IS DISTINCT FROM (lease_expires_at IS NOT NULL)
         OR (state = 'running' AND worker IS NULL)
         OR (state IN ('succeeded', 'dead', 'cancelled')) IS DISTINCT FROM (finished_at IS NOT NULL)) AS disagree,
    (SELECT count(*) FROM leasehold.jobs
      WHERE state = 'running' AND lease_expires_at < now() - interval '1 minute') AS stuck,
    (SELECT count(*) FROM leasehold.jobs WHERE attempt > max_attempts OR attempt > epoch) AS overspent;
