-- unblock: blocked → queued. The parents of these jobs have succeeded.
--
-- Guard:      the row is blocked, locked in id order.
-- Parameters: $1 ids.
-- Limits:     a job with limit keys waits for room behind the line: its answer has the key to admit.
-- Shares:     a job with a fair key is parked: its answer has the key of its lane.
-- Zero rows:  a job that is not in the answer is not blocked (any more).
-- Index:      job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id
    FROM (SELECT DISTINCT w.id FROM unnest($1::uuid[]) AS w(id) ORDER BY w.id) wanted
    CROSS JOIN LATERAL (
        -- Compared as text. Otherwise the planner may scan all of job_blocked to find one id.
        SELECT j.id FROM leasehold.job j WHERE j.id = wanted.id AND j.state::text = 'blocked' FOR UPDATE
    ) j
)
UPDATE leasehold.job j
-- A job in the line must be due, so a run_at in the future is replaced by now.
SET state = 'queued', run_at = least(j.run_at, now()),
    line_at = CASE WHEN j.limit_keys IS NOT NULL OR (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)) THEN 'infinity'
                   ELSE leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END,
    fair_at = CASE WHEN j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)
                   THEN leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END,
    limited_at = CASE WHEN j.limit_keys IS NOT NULL AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                      THEN leasehold.line_at(least(j.run_at, now()), j.priority, j.queue) END,
    limited_by = CASE WHEN NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)) THEN j.limit_keys[1] END
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.queue::text AS queue, coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at, j.limited_by,
          CASE WHEN j.fair_at IS NOT NULL THEN j.fair_key END AS parked_by
