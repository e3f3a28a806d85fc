-- webhook_attempts: a page of the log of a webhook, the newest attempt first, each with the state of its delivery now.
--
-- Guard:      none, it only reads.
-- Parameters: $1 webhook, $2 only attempts before this one (an id) or NULL, $3 limit.
-- Zero rows:  there is no such attempt.
-- Index:      webhook_attempt_pkey, job_pkey, the primary keys of the partitions of history.
SELECT a.id, a.delivery, a.job, a.event, a.attempt, a.status, a.ms, a.error, a.answer, a.at,
       (SELECT j.state::text FROM leasehold.jobs j WHERE j.id = a.delivery LIMIT 1) AS state
FROM leasehold.webhook_attempt a
WHERE a.webhook = $1::text AND a.id < coalesce($2::uuid, 'ffffffff-ffff-ffff-ffff-ffffffffffff')
ORDER BY a.id DESC LIMIT $3::bigint
