-- What the HTTP interface remembers. See docs/adr/0034-http-workers-are-ordinary-workers.md.
--
-- Neither table is read or written for a job that comes and runs without HTTP.

-- The answers to requests with an Idempotency-Key.
CREATE TABLE leasehold.idempotency (
    key         text NOT NULL,
    -- The SHA-256 of the request.
    fingerprint bytea NOT NULL,
    -- The answer to each job. NULL only inside of the transaction that enqueues the jobs.
    answer      json,
    created_at  timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT idempotency_pkey PRIMARY KEY (key)
);

CREATE INDEX idempotency_created ON leasehold.idempotency (created_at);

-- The claims of HTTP workers: which claim gave a worker which run. A claim that is sent again gets the same runs.
CREATE TABLE leasehold.http_claim (
    job        uuid NOT NULL,
    epoch      integer NOT NULL,
    worker     uuid NOT NULL,
    claim_id   text NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT http_claim_pkey PRIMARY KEY (job, epoch)
);

CREATE INDEX http_claim_by_id ON leasehold.http_claim (worker, claim_id);
CREATE INDEX http_claim_claimed ON leasehold.http_claim (claimed_at);

-- The tables have the rights and the owner of the tables beside them, whoever runs this migration.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.%s TO %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('idempotency'), ('http_claim')) t(name)
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('idempotency'), ('http_claim')) t(name)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
