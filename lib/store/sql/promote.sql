-- promote: scheduled → queued, for jobs that are due by the database's clock.
--
-- Guard:      the row is scheduled and due. A row that another session has locked is skipped.
-- Parameters: $1 limit, $2 scan start: no job is due before this time, or NULL.
-- Limits:     a job with limit keys waits for room behind the line: its answer has the key to admit.
-- Zero rows:  no job is due.
-- Index:      job_due; then job_pkey.
WITH target AS MATERIALIZED (
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'scheduled' AND j.run_at <= now() AND j.run_at >= coalesce($2::timestamptz, '-infinity')
    ORDER BY j.run_at LIMIT $1::bigint
    FOR UPDATE SKIP LOCKED
)
UPDATE leasehold.job j
-- A retry and a snooze set only run_at.
SET state = 'queued',
    line_at = CASE WHEN j.limit_keys IS NOT NULL THEN 'infinity' WHEN j.priority = 0 THEN j.run_at
                   ELSE leasehold.line_at(j.run_at, j.priority, j.queue) END,
    limited_at = CASE WHEN j.limit_keys IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
    limited_by = j.limit_keys[1]
WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
RETURNING j.id, j.queue::text AS queue, coalesce(j.limited_at, j.line_at) AS line_at, j.limited_by
