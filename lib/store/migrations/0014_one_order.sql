-- no-transaction
-- One order of the line: line_at, then id. See docs/adr/0018-one-order.md.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- How much earlier one point of priority puts a job. NULL: one hour.
-- step
ALTER TABLE leasehold.queue ADD COLUMN IF NOT EXISTS priority_step interval
    CONSTRAINT priority_step_is_from_0_to_60_years CHECK (priority_step BETWEEN interval '0' AND interval '525600 hours');

-- The default is one value for all rows that exist, so no row is rewritten. A statement of an earlier version inserts the time
-- of its transaction, which is right for a job without a priority that is due at once.
-- step
ALTER TABLE leasehold.job ADD COLUMN IF NOT EXISTS line_at timestamptz NOT NULL DEFAULT now();

-- Jobs without a priority stand in the order of their ids, which is the order in which they were enqueued. A job that somebody
-- has locked just now is being claimed.
-- step
UPDATE leasehold.job SET line_at = run_at - priority * interval '1 hour'
WHERE id = ANY (ARRAY(
    SELECT j.id FROM leasehold.job j
    WHERE j.state = 'queued' AND j.priority <> 0 AND j.line_at <> j.run_at - j.priority * interval '1 hour'
    FOR UPDATE SKIP LOCKED));

-- step, if invalid job_line_at
DROP INDEX CONCURRENTLY leasehold.job_line_at;

-- `kind` stands before the order so that kinds nobody serves are passed over at no cost. `run_at` is there for counts alone; an
-- entry is as long as one of job_line.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_line_at ON leasehold.job (queue, kind, line_at, id) INCLUDE (run_at)
    WHERE state = 'queued';

-- step
DROP INDEX CONCURRENTLY IF EXISTS leasehold.job_line;

-- step
CREATE OR REPLACE VIEW leasehold.jobs AS
SELECT id, queue::text AS queue, kind::text AS kind, state::text AS state, priority::smallint AS priority,
       payload::json AS payload, NULL::json AS result, last_error, attempt, max_attempts, crashes, epoch, worker,
       run_at, created_at, started_at, NULL::timestamptz AS finished_at, lease_expires_at,
       unique_key::text AS unique_key, limit_key::text AS limit_key,
       max_crashes, timeout_ms, cancel_requested_at, trail, line_at
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, limit_key,
       max_crashes, timeout_ms, NULL, trail, NULL
FROM leasehold.history;
