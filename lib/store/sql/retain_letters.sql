-- retain_letters: deletes the connections between dead letters and dead jobs that history does not keep any more, up
-- to a limit.
--
-- Guard:      age, and the letter is not live. A row that another session has locked is skipped.
-- Parameters: $1 the longest retention of finished jobs, in seconds, $2 limit.
-- Answer:     the number of deleted rows.
-- Index:      none; the table has one row for each dead letter. job_pkey.
WITH old AS MATERIALIZED (
    SELECT d.job FROM leasehold.dead_letter d
    WHERE d.made_at < now() - $1::bigint * interval '1 second'
      AND NOT EXISTS (SELECT FROM leasehold.job j WHERE j.id = d.job)
    LIMIT $2::bigint FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.dead_letter d WHERE d.job = ANY (ARRAY(SELECT o.job FROM old o)) RETURNING d.job
)
SELECT count(*) AS deleted FROM gone
