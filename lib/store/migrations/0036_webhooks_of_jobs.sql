-- The webhook that a job names for its own end. See docs/adr/0038-a-webhook-is-a-job.md.

-- Only a job that was enqueued with the word `webhook` has a row. Such a job has a value in its column `retry`, perhaps an empty object: so
-- the end of another job does not look here. The row stays until the job has left history, because a revived job has one more end.
CREATE TABLE leasehold.job_webhook (
    job        uuid NOT NULL,
    webhook    leasehold.name NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT job_webhook_pkey PRIMARY KEY (job)
);

CREATE INDEX job_webhook_created ON leasehold.job_webhook (created_at);

ALTER TYPE leasehold.job_spec ADD ATTRIBUTE webhook text;

-- The webhook that the jobs of a schedule name.
ALTER TABLE leasehold.schedule ADD COLUMN webhook leasehold.name;

-- The table has the rights and the owner of the tables beside it, whoever runs this migration.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.job_webhook TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.edge'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.job_webhook OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.edge'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
