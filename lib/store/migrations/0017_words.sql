-- no-transaction
-- The words retry, expires_at and unique of a job. See docs/adr/0025-a-unique-key-has-two-places.md.
--
-- All new columns are NULL in a job without these words, and stand at the end of the row: such a job costs nothing more.

-- What becomes of a unique key when its job begins. NULL: the job keeps its key until it has finished.
-- step
DO $$
BEGIN
    CREATE TYPE leasehold.unique_rule AS ENUM ('queued', 'keep_last');
EXCEPTION WHEN duplicate_object THEN
    NULL;
END
$$;

-- step
ALTER TABLE leasehold.job
    -- Where the job differs from its kind and its worker: strategy, base, cap, for. Workers read all but `for`.
    ADD COLUMN IF NOT EXISTS retry jsonb,
    -- No attempt begins later. Set when the first attempt was spent, if `retry` has a `for`.
    ADD COLUMN IF NOT EXISTS retry_until timestamptz,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS unique_rule leasehold.unique_rule,
    -- The unique key of a job with a rule that has begun: the second place of the key.
    ADD COLUMN IF NOT EXISTS begun_key leasehold.key;

-- step
ALTER TABLE leasehold.history
    ADD COLUMN IF NOT EXISTS retry jsonb,
    ADD COLUMN IF NOT EXISTS retry_until timestamptz,
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS unique_rule leasehold.unique_rule;

-- step, if invalid job_begun_key
DROP INDEX CONCURRENTLY leasehold.job_begun_key;

-- At most one job of a key has begun, if its rule is keep_last.
-- step
CREATE UNIQUE INDEX CONCURRENTLY IF NOT EXISTS job_begun_key ON leasehold.job (begun_key)
    WHERE begun_key IS NOT NULL AND unique_rule = 'keep_last';

-- step, if invalid job_overdue
DROP INDEX CONCURRENTLY leasehold.job_overdue;

-- Waiting jobs that may not begin after some time. Plain jobs are not in it.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_overdue ON leasehold.job ((least(expires_at, retry_until)))
    WHERE state <> 'running' AND least(expires_at, retry_until) IS NOT NULL;

-- Unique keys that are held until a time, also when their job has finished.
-- step
CREATE TABLE IF NOT EXISTS leasehold.unique_period (
    key   leasehold.key PRIMARY KEY,
    until timestamptz NOT NULL,
    job   uuid NOT NULL
);

-- step
CREATE INDEX IF NOT EXISTS unique_period_until ON leasehold.unique_period (until);

-- step
DO $$
BEGIN
    IF to_regtype('leasehold.job_spec') IS NOT NULL
       AND NOT EXISTS (SELECT FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
                       WHERE c.oid = 'leasehold.job_spec'::regclass AND a.attname = 'retry') THEN
        ALTER TYPE leasehold.job_spec ADD ATTRIBUTE retry jsonb, ADD ATTRIBUTE expires_at timestamptz,
            ADD ATTRIBUTE "unique" jsonb, ADD ATTRIBUTE id_is_new boolean;
    END IF;
END
$$;

-- step
ALTER TABLE leasehold.schedule
    ADD COLUMN IF NOT EXISTS retry jsonb,
    ADD COLUMN IF NOT EXISTS expires_in_ms bigint
        CONSTRAINT schedule_expires_in_is_up_to_100_years CHECK (expires_in_ms BETWEEN 1 AND 3153600000000),
    ADD COLUMN IF NOT EXISTS "unique" jsonb;

-- step
CREATE OR REPLACE VIEW leasehold.jobs AS
SELECT id, queue::text AS queue, kind::text AS kind, state::text AS state, priority::smallint AS priority,
       payload::json AS payload, NULL::json AS result, last_error, attempt, max_attempts, crashes, epoch, worker,
       run_at, created_at, started_at, NULL::timestamptz AS finished_at, lease_expires_at,
       coalesce(unique_key, begun_key)::text AS unique_key, limit_key::text AS limit_key,
       max_crashes, timeout_ms, cancel_requested_at, trail, line_at, retry, retry_until, expires_at,
       unique_rule::text AS unique_rule
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, limit_key,
       max_crashes, timeout_ms, NULL, trail, NULL, retry, retry_until, expires_at, unique_rule::text
FROM leasehold.history;
