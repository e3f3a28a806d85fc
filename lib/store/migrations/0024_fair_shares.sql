-- no-transaction
-- Fair shares of a queue. See docs/adr/0032-fair-jobs-wait-in-lanes.md.
--
-- All new columns of a job are NULL in a job without a fair key, and stand at the end of the row: such a job costs nothing more.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- step
ALTER TABLE leasehold.job
    -- The share of the queue that the job counts against.
    ADD COLUMN IF NOT EXISTS fair_key text,
    -- The position of a job that is parked: it waits in the lane of its key. Meanwhile line_at is infinity, behind every line.
    ADD COLUMN IF NOT EXISTS fair_at timestamptz,
    -- The virtual time at which the job was admitted to the line, and its number among the admitted jobs of its queue and kind.
    ADD COLUMN IF NOT EXISTS fair_tag double precision,
    ADD COLUMN IF NOT EXISTS fair_nth bigint;

-- step
ALTER TABLE leasehold.history ADD COLUMN IF NOT EXISTS fair_key text;

-- step
ALTER TABLE leasehold.schedule ADD COLUMN IF NOT EXISTS fair_key text;

-- Whether the jobs of the queue that have fair keys share it. If not, the key is only a label.
-- step
ALTER TABLE leasehold.queue ADD COLUMN IF NOT EXISTS fair boolean NOT NULL DEFAULT true;

-- NOT VALID: the rows are checked by the steps after this one, while others write.
-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_constraint c
                   WHERE c.conrelid = 'leasehold.job'::regclass AND c.conname = 'parked_waits_behind_the_line') THEN
        ALTER TABLE leasehold.job
            ADD CONSTRAINT fair_key_is_1_to_512_bytes CHECK (octet_length(fair_key) BETWEEN 1 AND 512) NOT VALID,
            ADD CONSTRAINT parked_waits_behind_the_line CHECK (
                fair_at IS NULL
                OR (state = 'queued' AND line_at = 'infinity' AND fair_key IS NOT NULL AND fair_tag IS NULL
                    AND limited_at IS NULL AND limited_by IS NULL)) NOT VALID,
            ADD CONSTRAINT admitted_has_a_fair_key CHECK (
                fair_tag IS NULL OR (fair_key IS NOT NULL AND fair_nth IS NOT NULL)) NOT VALID;
    END IF;
END
$$;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT fair_key_is_1_to_512_bytes;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT parked_waits_behind_the_line;

-- step
ALTER TABLE leasehold.job VALIDATE CONSTRAINT admitted_has_a_fair_key;

-- step, if invalid job_parked
DROP INDEX CONCURRENTLY leasehold.job_parked;

-- The parked jobs of each lane, in order.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_parked ON leasehold.job (queue, kind, fair_key, fair_at, id)
    WHERE fair_at IS NOT NULL;

-- step, if invalid job_fair_line
DROP INDEX CONCURRENTLY leasehold.job_fair_line;

-- The jobs with fair keys that are in the line, by tag. Those without a tag came while the key was only a label.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_fair_line ON leasehold.job (queue, kind, fair_tag, id)
    WHERE fair_key IS NOT NULL AND fair_at IS NULL AND limited_at IS NULL AND state = 'queued';

-- How much of the queue a key gets, compared with the other keys. A key without a row has the weight 1.
-- step
CREATE TABLE IF NOT EXISTS leasehold.fair_weight (
    queue      leasehold.name NOT NULL,
    fair_key   leasehold.key NOT NULL,
    weight     double precision NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT fair_weight_pkey PRIMARY KEY (queue, fair_key),
    CONSTRAINT fair_weight_is_from_a_thousandth_to_1000 CHECK (weight BETWEEN 0.001 AND 1000)
);

-- The virtual time at which the next job of a key may start, and the latest own position of its jobs that were admitted. A key without a row
-- starts where the line is.
-- step
CREATE TABLE IF NOT EXISTS leasehold.fair_tag (
    queue    text NOT NULL,
    fair_key text NOT NULL,
    tag      double precision NOT NULL,
    latest   timestamptz,

    CONSTRAINT fair_tag_pkey PRIMARY KEY (queue, fair_key)
) WITH (
    -- A tag is changed within its page.
    fillfactor = 50
);

-- How far the admission of each queue and kind is: the largest tag that was given to a job, and how many jobs were admitted.
-- step
CREATE TABLE IF NOT EXISTS leasehold.fair_window (
    queue    text NOT NULL,
    kind     text NOT NULL,
    tag      double precision NOT NULL,
    admitted bigint NOT NULL,

    CONSTRAINT fair_window_pkey PRIMARY KEY (queue, kind)
) WITH (fillfactor = 50);

-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_attribute a
                   WHERE a.attrelid = 'leasehold.job_spec'::regclass AND a.attname = 'fair_key' AND NOT a.attisdropped) THEN
        ALTER TYPE leasehold.job_spec ADD ATTRIBUTE fair_key text;
    END IF;
END
$$;

-- step
CREATE OR REPLACE VIEW leasehold.jobs AS
SELECT id, queue::text AS queue, kind::text AS kind, state::text AS state, priority::smallint AS priority,
       payload::json AS payload, NULL::json AS result, last_error, attempt, max_attempts, crashes, epoch, worker,
       run_at, created_at, started_at, NULL::timestamptz AS finished_at, lease_expires_at,
       coalesce(unique_key, begun_key)::text AS unique_key, coalesce(limit_keys[1], limit_key::text) AS limit_key,
       max_crashes, timeout_ms, cancel_requested_at, trail, coalesce(limited_at, fair_at, line_at) AS line_at, retry, retry_until,
       expires_at, unique_rule::text AS unique_rule, limit_keys, batch, fair_key
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, coalesce(limit_keys[1], limit_key),
       max_crashes, timeout_ms, NULL, trail, NULL, retry, retry_until, expires_at, unique_rule::text, limit_keys, batch, fair_key
FROM leasehold.history;

-- Whoever may read jobs may read their shares. Workers write tags.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.fair_weight, leasehold.fair_tag, leasehold.fair_window TO %s',
                      a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO %I', made.what, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('leasehold.fair_weight'), ('leasehold.fair_tag'), ('leasehold.fair_window')) AS made(what)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
