-- no-transaction
-- A claim of an HTTP worker is committed before its answer is written. If the server dies in between, a reaper gives the jobs back.
-- See docs/adr/0034-http-workers-are-ordinary-workers.md.

-- step
-- When the answer must have been written; NULL: it was written. A server that writes a long answer moves this time.
ALTER TABLE leasehold.http_claim ADD COLUMN IF NOT EXISTS deliver_by timestamptz;

-- step
-- The end of the lease that the claim gave. A run whose lease ends at another time has been renewed, so its worker knows it.
ALTER TABLE leasehold.http_claim ADD COLUMN IF NOT EXISTS lease_expires_at timestamptz;

-- step, if invalid http_claim_undelivered
DROP INDEX CONCURRENTLY leasehold.http_claim_undelivered;

-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS http_claim_undelivered ON leasehold.http_claim (deliver_by) WHERE deliver_by IS NOT NULL;

-- step
-- HTTP workers that get no more jobs. The id of a worker is new at each start, so a row is never taken back.
CREATE TABLE IF NOT EXISTS leasehold.http_drain (
    worker     uuid NOT NULL,
    drained_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT http_drain_pkey PRIMARY KEY (worker)
);

-- step
-- The table has the rights and the owner of the tables beside it, whoever runs this migration.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.http_drain TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.http_claim'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.http_drain OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.http_claim'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
