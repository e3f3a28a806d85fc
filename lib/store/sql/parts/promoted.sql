-- promoted: puts due jobs into the line.
--
-- From:       rows of `target`: id, which this statement has locked.
-- Answer:     id, queue, line_at, late_ms, and next_ms, which is NULL.
-- Index:      job_pkey.
promoted AS (
    UPDATE leasehold.job j
    -- A retry and a snooze set only run_at.
    SET state = 'queued',
        line_at = CASE WHEN j.priority = 0 THEN j.run_at ELSE leasehold.line_at(j.run_at, j.priority, j.queue) END
    WHERE j.id = ANY (ARRAY(SELECT t.id FROM target t))
    RETURNING j.id, j.queue, j.line_at, j.run_at
)
SELECT p.id, p.queue::text AS queue, p.line_at,
       CASE WHEN isfinite(p.run_at) THEN (extract(epoch FROM clock_timestamp() - p.run_at) * 1000)::bigint END AS late_ms,
       NULL::bigint AS next_ms
FROM promoted p
