-- no-transaction
-- Batches: groups of jobs by name. See docs/adr/0030-a-batch-has-no-counter.md.
--
-- The new columns are NULL in a job without a batch, and stand at the end of the row: such a job costs nothing more. They are
-- plain text, because a column of a domain with a CHECK would rewrite the table.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- step
CREATE TABLE IF NOT EXISTS leasehold.batch (
    name           leasehold.key NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    -- From then on no job can be added.
    sealed_at      timestamptz,
    -- The kinds of the jobs that are enqueued when all jobs have succeeded, when all have ended, and when the first one is dead.
    on_success     leasehold.name,
    on_complete    leasehold.name,
    on_death       leasehold.name,
    -- The queue of these jobs.
    callback_queue leasehold.name NOT NULL DEFAULT 'default',
    -- When a reaper has seen that the batch is sealed and that all of its jobs have ended.
    completed_at   timestamptz,
    success_job    uuid,
    complete_job   uuid,
    death_job      uuid,

    CONSTRAINT batch_pkey PRIMARY KEY (name),
    CONSTRAINT only_a_sealed_batch_is_complete CHECK (completed_at IS NULL OR sealed_at IS NOT NULL),
    CONSTRAINT only_a_complete_batch_has_callbacks
        CHECK (completed_at IS NOT NULL OR (success_job IS NULL AND complete_job IS NULL))
);

-- The batches that a reaper waits for.
-- step
CREATE INDEX IF NOT EXISTS batch_awaited ON leasehold.batch (name) WHERE sealed_at IS NOT NULL AND completed_at IS NULL;

-- step
CREATE INDEX IF NOT EXISTS batch_created ON leasehold.batch (created_at, name);

-- step
ALTER TABLE leasehold.job ADD COLUMN IF NOT EXISTS batch text;

-- step
ALTER TABLE leasehold.history ADD COLUMN IF NOT EXISTS batch text;

-- step
ALTER TABLE leasehold.schedule ADD COLUMN IF NOT EXISTS batch leasehold.key;

-- step, if invalid job_batch
DROP INDEX CONCURRENTLY leasehold.job_batch;

-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_batch ON leasehold.job (batch, id) WHERE batch IS NOT NULL;

-- step
CREATE INDEX IF NOT EXISTS history_batch ON ONLY leasehold.history (batch, state, id) WHERE batch IS NOT NULL;

-- step, for partitions without history_batch, if invalid $PARTITION_batch
DROP INDEX CONCURRENTLY leasehold.$PARTITION_batch;

-- step, for partitions without history_batch
CREATE INDEX CONCURRENTLY IF NOT EXISTS $PARTITION_batch
    ON leasehold.$PARTITION (batch, state, id) WHERE batch IS NOT NULL;

-- step, for partitions without history_batch
ALTER INDEX leasehold.history_batch ATTACH PARTITION leasehold.$PARTITION_batch;

-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = 'leasehold.job_spec'::regclass AND a.attname = 'batch' AND NOT a.attisdropped) THEN
        ALTER TYPE leasehold.job_spec ADD ATTRIBUTE batch text;
    END IF;
END
$$;

-- step
CREATE OR REPLACE VIEW leasehold.jobs AS
SELECT id, queue::text AS queue, kind::text AS kind, state::text AS state, priority::smallint AS priority,
       payload::json AS payload, NULL::json AS result, last_error, attempt, max_attempts, crashes, epoch, worker,
       run_at, created_at, started_at, NULL::timestamptz AS finished_at, lease_expires_at,
       coalesce(unique_key, begun_key)::text AS unique_key, coalesce(limit_keys[1], limit_key::text) AS limit_key,
       max_crashes, timeout_ms, cancel_requested_at, trail, coalesce(limited_at, line_at) AS line_at, retry, retry_until,
       expires_at, unique_rule::text AS unique_rule, limit_keys, batch
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, coalesce(limit_keys[1], limit_key),
       max_crashes, timeout_ms, NULL, trail, NULL, retry, retry_until, expires_at, unique_rule::text, limit_keys, batch
FROM leasehold.history;

-- Whoever may read jobs may read their batches.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT ON leasehold.batch TO %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.batch OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
