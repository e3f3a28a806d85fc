-- position_off_the_step: each waiting job is at the position that the priority step of its queue gives it, or a reaper will
-- move it soon.
-- Index: job_line_at, read as a whole.
SELECT j.id, format('stands at %s, and the step of its queue puts it at %s', coalesce(j.limited_at, j.fair_at, j.line_at),
                    leasehold.line_at(j.run_at, j.priority, j.queue)) AS detail
FROM leasehold.job j
WHERE j.state = 'queued' AND j.priority <> 0 AND j.fair_tag IS NULL AND coalesce(j.limited_at, j.fair_at, j.line_at) <> leasehold.line_at(j.run_at, j.priority, j.queue)
  AND NOT EXISTS (SELECT FROM leasehold.reorder r WHERE r.queue = j.queue)
LIMIT 100
