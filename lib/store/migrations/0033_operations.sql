-- Bulk changes that a server does by itself, and traces of jobs. See docs/adr/0041-an-operation-is-a-row.md.

-- One row for each change of the jobs of a filter. Nothing of jobs refers to it, so a plain job does not pay for it.
CREATE TABLE leasehold.operation (
    id                  uuid NOT NULL,
    -- What is done to each job: the names of the commands.
    action              text NOT NULL,
    -- The new priority, or the new queue.
    priority            smallint,
    to_queue            leasehold.name,
    -- The conditions, by name, as the request had them.
    filter              json NOT NULL,
    -- Who has sent the request.
    actor               text NOT NULL,
    state               text NOT NULL DEFAULT 'waiting',
    -- How far the change has come. Written in the transaction of each page, so a page is never counted twice or done twice.
    cursor              json NOT NULL,
    -- Jobs of pages that are done, which other sessions had locked. They are tried again at the end.
    locked              uuid[] NOT NULL DEFAULT '{}',
    -- How many jobs the filter chose when the work began; NULL: not counted yet.
    total               bigint,
    changed             bigint NOT NULL DEFAULT 0,
    told_to_stop        bigint NOT NULL DEFAULT 0,
    unique_key_taken    bigint NOT NULL DEFAULT 0,
    -- Why the operation has failed.
    reason              text,
    -- The server that does the work, for how long, and how many servers have begun it. A write of a server names the epoch.
    worker              uuid,
    epoch               integer NOT NULL DEFAULT 0,
    lease_expires_at    timestamptz,
    cancel_requested_at timestamptz,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    finished_at         timestamptz,

    CONSTRAINT operation_pkey PRIMARY KEY (id),
    CONSTRAINT operation_action_has_its_argument CHECK (
        action IN ('cancel', 'retry', 'priority', 'move')
        AND (action = 'priority') = (priority IS NOT NULL) AND (action = 'move') = (to_queue IS NOT NULL)),
    CONSTRAINT operation_state_is_known CHECK (state IN ('waiting', 'running', 'done', 'cancelled', 'failed')),
    CONSTRAINT operation_runs_on_a_lease CHECK (
        (state = 'running') = (worker IS NOT NULL) AND (state = 'running') = (lease_expires_at IS NOT NULL)),
    CONSTRAINT operation_ends_once CHECK ((state IN ('done', 'cancelled', 'failed')) = (finished_at IS NOT NULL)),
    CONSTRAINT operation_fails_for_a_reason CHECK ((state = 'failed') = (reason IS NOT NULL))
);

-- The operations that are not done, the oldest first.
CREATE INDEX operation_open ON leasehold.operation (id) WHERE finished_at IS NULL;
CREATE INDEX operation_finished ON leasehold.operation (finished_at) WHERE finished_at IS NOT NULL;

-- The trace that a job belongs to, as the header `traceparent` of W3C Trace Context. Only a job that somebody enqueued within a trace has a row.
-- Such a job has a value in its column `retry`, perhaps an empty object: so a claim of another job does not look here.
CREATE TABLE leasehold.trace (
    job         uuid NOT NULL,
    traceparent text NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT trace_pkey PRIMARY KEY (job),
    CONSTRAINT traceparent_is_of_version_00 CHECK (
        traceparent ~ '^00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$' AND traceparent !~ '^00-(0{32}-|[0-9a-f]{32}-0{16}-)')
);

CREATE INDEX trace_created ON leasehold.trace (created_at);

ALTER TYPE leasehold.job_spec ADD ATTRIBUTE traceparent text;

-- The tables have the rights and the owner of the tables beside them, whoever runs this migration.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.%s TO %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('operation'), ('trace')) t(name)
        WHERE c.oid = 'leasehold.http_claim'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('operation'), ('trace')) t(name)
        WHERE c.oid = 'leasehold.http_claim'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
