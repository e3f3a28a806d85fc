-- Lines whose jobs must move, because the step of a queue has changed. See docs/adr/0027-a-reaper-finishes-the-move-of-a-line.md.
CREATE TABLE leasehold.reorder (
    queue text NOT NULL,
    -- The transaction that changed the step. A job of a transaction that began before may have the position of the old step.
    since xid8 NOT NULL,

    CONSTRAINT reorder_pkey PRIMARY KEY (queue)
);

-- The table has the rights and the owner of the tables beside it, whoever runs this migration.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.reorder TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.reorder OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
