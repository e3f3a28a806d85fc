-- no-transaction
-- Limits on running jobs for each key, and rates. See docs/adr/0028-a-run-holds-a-numbered-slot.md.
--
-- All new columns of a job are NULL in a job without limit keys, and stand at the end of the row: such a job costs nothing more.

-- step
ALTER TABLE leasehold.job
    ADD COLUMN IF NOT EXISTS limit_keys text[],
    -- While the job is queued: the key whose room the job was given or waits for.
    ADD COLUMN IF NOT EXISTS limited_by text,
    -- The position in the line of a job that waits for room. Meanwhile line_at is infinity, behind every line.
    ADD COLUMN IF NOT EXISTS limited_at timestamptz,
    -- The epoch of the last run that claim_limited has started.
    ADD COLUMN IF NOT EXISTS limit_epoch integer;

-- step
ALTER TABLE leasehold.history ADD COLUMN IF NOT EXISTS limit_keys text[];

-- step
ALTER TABLE leasehold.schedule ADD COLUMN IF NOT EXISTS limit_keys text[];

-- NOT VALID: the rows are checked by the steps after this one, while others write.
-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint c
                   WHERE c.conrelid = 'leasehold.job'::regclass AND c.conname = 'limited_run_has_its_slots') THEN
        ALTER TABLE leasehold.job
            ADD CONSTRAINT limit_keys_are_1_to_8 CHECK (
                limit_keys IS NULL OR (cardinality(limit_keys) BETWEEN 1 AND 8 AND array_position(limit_keys, NULL) IS NULL
                                       AND octet_length(array_to_string(limit_keys, '')) BETWEEN 1 AND 4096)) NOT VALID,
            -- Only claim_limited can start a job that has limit keys.
            ADD CONSTRAINT limited_run_has_its_slots CHECK (
                limit_keys IS NULL OR state <> 'running' OR limit_epoch IS NOT DISTINCT FROM epoch) NOT VALID,
            ADD CONSTRAINT limited_waits_behind_the_line CHECK (
                limited_at IS NULL
                OR (state = 'queued' AND line_at = 'infinity' AND limited_by IS NOT NULL AND limit_keys IS NOT NULL)) NOT VALID;
    END IF;
END
$$;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT limit_keys_are_1_to_8;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT limited_run_has_its_slots;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT limited_waits_behind_the_line;

-- step, if invalid job_limited
DROP INDEX CONCURRENTLY leasehold.job_limited;

-- The queued jobs of each key: those that wait for room, in order, and, with limited_at NULL, those that were given room.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_limited ON leasehold.job (limited_by, queue, kind, limited_at, id)
    WHERE limited_by IS NOT NULL AND state = 'queued';

-- step, if invalid job_limited_line
DROP INDEX CONCURRENTLY leasehold.job_limited_line;

-- The jobs of the line that have limit keys, for claims without hints.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_limited_line ON leasehold.job (queue, kind, line_at, id)
    WHERE limit_keys IS NOT NULL AND limited_at IS NULL AND state = 'queued';

-- What is allowed for a key. A key that ends in * is a pattern: each key that begins so has a limit of its own.
-- step
CREATE TABLE IF NOT EXISTS leasehold.key_limit (
    key        leasehold.key NOT NULL,
    -- The most runs at the same time. NULL: any number.
    running    integer,
    -- Starts per second, and how it was written. NULL: any number.
    rate       double precision,
    rate_text  text,
    -- The most starts at one moment.
    burst      integer,
    changed_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT key_limit_pkey PRIMARY KEY (key),
    CONSTRAINT key_limit_limits_something CHECK (running IS NOT NULL OR rate IS NOT NULL),
    CONSTRAINT key_limit_running_is_from_0_to_1000000 CHECK (running BETWEEN 0 AND 1000000),
    CONSTRAINT key_limit_rate_is_positive CHECK (rate > 0 AND rate <= 1000000),
    CONSTRAINT key_limit_burst_exactly_with_rate CHECK (
        (burst IS NOT NULL) = (rate IS NOT NULL) AND (rate_text IS NOT NULL) = (rate IS NOT NULL)),
    CONSTRAINT key_limit_burst_is_from_1_to_1000000 CHECK (burst BETWEEN 1 AND 1000000)
);

-- step
CREATE INDEX IF NOT EXISTS key_limit_pattern ON leasehold.key_limit (key) WHERE right(key::text, 1) = '*';

-- One row for each slot of a key that was ever taken. A slot is held while its job runs with this epoch. So a run frees its
-- slots by ending, and the end of a run writes nothing here. The next run overwrites the row.
-- step
CREATE TABLE IF NOT EXISTS leasehold.limit_slot (
    key   text NOT NULL,
    slot  integer NOT NULL,
    job   uuid NOT NULL,
    epoch integer NOT NULL,

    CONSTRAINT limit_slot_pkey PRIMARY KEY (key, slot),
    CONSTRAINT slot_is_not_negative CHECK (slot >= 0)
) WITH (
    -- A slot is taken again by an update within its page.
    fillfactor = 50
);

-- The token bucket of each key with a rate: when the bucket is full again.
-- step
CREATE TABLE IF NOT EXISTS leasehold.limit_bucket (
    key     text NOT NULL,
    full_at timestamptz NOT NULL,

    CONSTRAINT limit_bucket_pkey PRIMARY KEY (key)
) WITH (fillfactor = 50);

-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = 'leasehold.job_spec'::regclass AND a.attname = 'limit_keys') THEN
        ALTER TYPE leasehold.job_spec ADD ATTRIBUTE limit_keys text[];
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
       expires_at, unique_rule::text AS unique_rule, limit_keys
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, coalesce(limit_keys[1], limit_key),
       max_crashes, timeout_ms, NULL, trail, NULL, retry, retry_until, expires_at, unique_rule::text, limit_keys
FROM leasehold.history;

-- Whoever may read jobs may read their limits. Workers write slots and buckets.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.key_limit, leasehold.limit_slot, leasehold.limit_bucket TO %s',
                      a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO %I', made.what, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('leasehold.key_limit'), ('leasehold.limit_slot'), ('leasehold.limit_bucket')) AS made(what)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
