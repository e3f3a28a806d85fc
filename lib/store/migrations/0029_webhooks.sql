-- Webhooks: messages to other systems about jobs that have ended. See docs/adr/0038-a-webhook-is-a-job.md.
--
-- The tables are read only while there is a webhook: the trigger that makes deliveries is created with the first webhook, and dropped
-- with the last one (set_webhook_trigger).

-- The endpoints, and which ends of jobs each of them is told of.
CREATE TABLE leasehold.webhook (
    -- The kind of the delivery jobs.
    id              leasehold.name NOT NULL,
    url             text NOT NULL,
    -- A queue, or a pattern that ends in *.
    queue           text NOT NULL,
    -- Empty: every kind.
    kinds           text[] NOT NULL,
    states          leasehold.job_state[] NOT NULL,
    -- Rises with each change, so that an answer of the earlier URL says nothing about the new one.
    revision        integer NOT NULL DEFAULT 1,
    created_at      timestamptz NOT NULL DEFAULT now(),
    changed_at      timestamptz NOT NULL DEFAULT now(),
    -- The first failure since the last success.
    failing_since   timestamptz,
    disabled_at     timestamptz,
    disabled_reason text,

    CONSTRAINT webhook_pkey PRIMARY KEY (id),
    CONSTRAINT webhook_url_is_1_to_2048_bytes CHECK (octet_length(url) BETWEEN 1 AND 2048),
    CONSTRAINT webhook_queue_is_a_name_or_a_pattern CHECK (
        octet_length(queue) <= 129 AND queue ~ '^([A-Za-z0-9_][A-Za-z0-9_.:/-]*\*?|\*)$'),
    CONSTRAINT webhook_states_are_final CHECK (
        cardinality(states) > 0 AND states <@ '{succeeded,dead,cancelled}'::leasehold.job_state[]),
    CONSTRAINT webhook_is_disabled_for_a_reason CHECK ((disabled_at IS NULL) = (disabled_reason IS NULL))
);

-- The secrets. A table of its own, because those who may read webhooks may not sign messages.
CREATE TABLE leasehold.webhook_secret (
    id         uuid NOT NULL,
    webhook    leasehold.name NOT NULL,
    secret     text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    -- The end of the time in which an earlier secret still signs; NULL: the secret of today.
    until      timestamptz,

    CONSTRAINT webhook_secret_pkey PRIMARY KEY (id)
);

CREATE INDEX webhook_secret_of ON leasehold.webhook_secret (webhook);

-- The log of deliveries: one row for each attempt.
CREATE TABLE leasehold.webhook_attempt (
    -- Made by new_id, so it begins with the time of the attempt.
    id       uuid NOT NULL,
    webhook  text NOT NULL,
    -- The delivery job.
    delivery uuid NOT NULL,
    -- The job that has ended; NULL: a test.
    job      uuid,
    event    text NOT NULL,
    attempt  integer NOT NULL,
    -- The status of the answer; NULL: there was no answer.
    status   integer,
    ms       integer NOT NULL,
    error    text,
    -- The beginning of the answer.
    answer   text,
    at       timestamptz NOT NULL DEFAULT now(),

    -- No index begins with the id. Otherwise the planner may read the attempts of all webhooks to find those of one.
    CONSTRAINT webhook_attempt_pkey PRIMARY KEY (webhook, id)
);

CREATE INDEX webhook_attempt_at ON leasehold.webhook_attempt (at);

-- The tables have the rights and the owner of the tables beside them, whoever runs this migration. Secrets are only for those who may
-- change jobs.
REVOKE ALL ON leasehold.webhook_secret FROM PUBLIC;
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON leasehold.webhook_secret FROM %I', r.rolname)
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.webhook_secret'::regclass AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('GRANT %s ON leasehold.%s TO %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('webhook'), ('webhook_attempt')) t(name)
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
          -- Clients read no webhooks: a URL may have a token in its path.
          AND r.rolname IS DISTINCT FROM 'leasehold_app'
        UNION ALL
        SELECT format('GRANT %s ON leasehold.webhook_secret TO %I', p.privilege, r.rolname)
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('SELECT'), ('INSERT'), ('UPDATE'), ('DELETE')) p(privilege)
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type = 'DELETE' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('webhook'), ('webhook_secret'), ('webhook_attempt')) t(name)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
