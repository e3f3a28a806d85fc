-- no-transaction
-- Which earlier programs work on the schema after a migration. So a roll-out can be taken back: the processes, and not the database.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- Each migration from here on adds its row.
-- step
CREATE TABLE IF NOT EXISTS leasehold.works_with (
    migration     bigint NOT NULL,
    -- Programs that know this migration work on the schema.
    programs_from bigint NOT NULL,

    CONSTRAINT works_with_pkey PRIMARY KEY (migration)
);

-- step
INSERT INTO leasehold.works_with (migration, programs_from) VALUES (38, 37), (39, 37) ON CONFLICT DO NOTHING;

-- Whoever may read which migrations there are may read this too.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT ON leasehold.works_with TO %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.migration'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.works_with OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.migration'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
