-- Pauses of a part of a queue: the jobs of one kind, or of one fair key. A pause of a whole queue is leasehold.queue.paused_at. See
-- docs/adr/0033-a-kind-can-be-paused.md.
CREATE TABLE leasehold.pause (
    queue     leasehold.name NOT NULL,
    -- What `name` is the name of.
    what      text NOT NULL,
    name      text NOT NULL,
    paused_at timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT pause_pkey PRIMARY KEY (queue, what, name),
    CONSTRAINT pause_is_of_a_kind_or_a_fair_key CHECK (what IN ('kind', 'fair_key')),
    CONSTRAINT pause_has_a_name CHECK (octet_length(name) BETWEEN 1 AND 1024)
);

-- Whoever may read or change jobs may read or change pauses.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.pause TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.queue'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.pause OWNER TO %I', r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        WHERE c.oid = 'leasehold.queue'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
