-- promoted: puts due jobs into the line.
--
-- Takes:      last
-- From:       rows of `target`: id, which this statement has locked.
-- Limits:     a job with limit keys waits for room behind the line: its answer has the key to admit.
-- Shares:     a job with a fair key is parked: its answer has the key of its lane.
-- Answer:     id, queue, line_at, late_ms, limited_by, parked_by, and before these two the column $last, which is NULL: only the row
--             that the statement adds at the end has it.
-- Index:      job_pkey.
promoted AS (
    UPDATE leasehold.job j
    -- A retry and a snooze set only run_at.
    SET state = 'queued',
        line_at = CASE WHEN j.limit_keys IS NOT NULL THEN 'infinity' WHEN j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue) THEN 'infinity'
                       WHEN j.priority = 0 THEN j.run_at ELSE leasehold.line_at(j.run_at, j.priority, j.queue) END,
        fair_at = CASE WHEN j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)
                       THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
        fair_tag = NULL, fair_nth = NULL,
        limited_at = CASE WHEN j.limit_keys IS NOT NULL AND NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue))
                          THEN leasehold.line_at(j.run_at, j.priority, j.queue) END,
        limited_by = CASE WHEN NOT (j.fair_key IS NOT NULL AND leasehold.is_fair(j.queue)) THEN j.limit_keys[1] END
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id, j.queue, coalesce(j.limited_at, j.fair_at, j.line_at) AS line_at, j.run_at, j.limited_by,
              CASE WHEN j.fair_at IS NOT NULL THEN j.fair_key END AS parked_by
)
SELECT p.id, p.queue::text AS queue, p.line_at,
       CASE WHEN isfinite(p.run_at) THEN (extract(epoch FROM clock_timestamp() - p.run_at) * 1000)::bigint END AS late_ms,
       NULL::bigint AS $last, p.limited_by, p.parked_by
FROM promoted p
