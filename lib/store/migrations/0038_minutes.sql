-- no-transaction
-- How many jobs have ended in each minute, and how long they waited and ran. See docs/adr/0046-minutes-are-added-up-from-history.md.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- One row for each minute in which jobs of a queue and kind have ended.
-- step
CREATE TABLE IF NOT EXISTS leasehold.minute (
    -- The beginning of the minute.
    begins    timestamptz NOT NULL,
    queue     text NOT NULL,
    kind      text NOT NULL,
    succeeded bigint NOT NULL,
    dead      bigint NOT NULL,
    cancelled bigint NOT NULL,
    -- How many of the jobs that had begun waited, and ran, for how long: {"bucket": jobs}. Bucket n has the times of up to 2^(n/8) ms that
    -- no lower bucket has. The last one, 248, also has all longer times.
    waits     jsonb NOT NULL,
    runs      jsonb NOT NULL,

    CONSTRAINT minute_pkey PRIMARY KEY (begins, queue, kind)
) WITH (vacuum_truncate = off);

-- One row: all minutes before this time are added up.
-- step
CREATE TABLE IF NOT EXISTS leasehold.minutes_until (
    one_row boolean NOT NULL DEFAULT true,
    until    timestamptz NOT NULL,

    CONSTRAINT minutes_until_pkey PRIMARY KEY (one_row),
    CONSTRAINT minutes_until_has_one_row CHECK (one_row)
);

-- The tables have the rights and the owner of the tables beside them, whoever runs this migration.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.%s TO %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('minute'), ('minutes_until')) t(name)
        WHERE c.oid = 'leasehold.edge'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('minute'), ('minutes_until')) t(name)
        WHERE c.oid = 'leasehold.edge'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
