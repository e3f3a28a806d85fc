-- promoted: puts due jobs into the line.
--
-- Takes:      last
-- From:       rows of `target`: id, which this statement has locked.
-- Limits:     a job with limit keys waits for room behind the line: its answer has the key to admit.
-- Answer:     id, queue, line_at, late_ms, limited_by, and between the last two the column $last, which is NULL: only the row that
--             the statement adds at the end has it.
-- Index:      job_pkey.
promoted AS (
    UPDATE leasehold.job j
    -- A retry and a snooze set only run_at.
    SET state = 'queued',
        line_at = CASE WHEN j.limit_keys IS NOT NULL THEN 'infinity' WHEN j.priority = 0 THEN j.run_at
                       ELSE leasehold.line_at(j.run_at, j.priority, j.queue) END,
        limited_at = CASE WHEN j.limit_keys IS NOT NULL THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
        limited_by = j.limit_keys[1]
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id, j.queue, coalesce(j.limited_at, j.line_at) AS line_at, j.run_at, j.limited_by
)
SELECT p.id, p.queue::text AS queue, p.line_at,
       CASE WHEN isfinite(p.run_at) THEN (extract(epoch FROM clock_timestamp() - p.run_at) * 1000)::bigint END AS late_ms,
       NULL::bigint AS $last, p.limited_by
FROM promoted p
