-- retain_job_webhooks: deletes the rows that say which webhook a job named, after the job has left history. Up to a limit.
--
-- Guard:      age, and the job is neither live nor in history: so it cannot be revived. A row that another session has locked is skipped.
-- Parameters: $1 the longest retention of finished jobs, in seconds, $2 limit.
-- Answer:     the number of deleted rows.
-- Index:      job_webhook_created, job_pkey, the primary keys of the partitions of history.
WITH old AS MATERIALIZED (
    SELECT n.job FROM leasehold.job_webhook n
    WHERE n.created_at < now() - $1::bigint * interval '1 second'
      AND (SELECT true FROM leasehold.job j WHERE j.id = n.job) IS NULL
      AND (SELECT true FROM leasehold.history h WHERE h.id = n.job LIMIT 1) IS NULL
    ORDER BY n.created_at LIMIT $2::bigint FOR UPDATE SKIP LOCKED
), gone AS (
    DELETE FROM leasehold.job_webhook n WHERE n.job = ANY (ARRAY(SELECT o.job FROM old o)) RETURNING n.job
)
SELECT count(*) AS deleted FROM gone
