-- unblock: blocked → queued: what the jobs waited for is there.
--
-- Guard:      the row is blocked, locked in id order.
-- Parameters: $1 ids.
-- Zero rows:  for an id that is not in the answer: it is not blocked (any more).
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT DISTINCT w.id FROM unnest($1::uuid[]) AS w(id) ORDER BY w.id) wanted
    CROSS JOIN LATERAL (
        -- As text, or the planner may walk all of job_blocked to find one id.
        SELECT j.id FROM leasehold.job j WHERE j.id = wanted.id AND j.state::text = 'blocked' FOR UPDATE
    ) j
)
UPDATE leasehold.job j
-- In the line means due: a time to come that it was sent with has no meaning any more.
SET state = 'queued', run_at = least(j.run_at, now())
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.queue::text AS queue, j.priority::smallint AS priority
