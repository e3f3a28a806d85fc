-- Tokens of the HTTP interface, and the audit: who has changed what by hand. See docs/adr/0037-tokens-scopes-and-the-audit.md.
--
-- No table here is read or written for a job.

CREATE TABLE leasehold.token (
    id             text NOT NULL,
    name           text NOT NULL,
    scopes         text[] NOT NULL,
    -- The SHA-256 of the token. The token itself is not stored.
    hash           bytea NOT NULL,
    created_at     timestamptz NOT NULL DEFAULT now(),
    expires_at     timestamptz,
    revoked_at     timestamptz,
    rotated_at     timestamptz,
    -- The token before the rotation is valid until then.
    old_hash       bytea,
    old_hash_until timestamptz,
    -- Written at most once a minute.
    last_used_at   timestamptz,

    CONSTRAINT token_pkey PRIMARY KEY (id),
    CONSTRAINT token_hash_is_sha256 CHECK (octet_length(hash) = 32 AND octet_length(old_hash) = 32),
    CONSTRAINT token_has_a_name_and_scopes
        CHECK (octet_length(name) BETWEEN 1 AND 200 AND cardinality(scopes) BETWEEN 1 AND 100),
    CONSTRAINT token_overlap_has_an_end CHECK ((old_hash IS NULL) = (old_hash_until IS NULL))
);

CREATE TABLE leasehold.audit (
    id      bigint GENERATED ALWAYS AS IDENTITY,
    at      timestamptz NOT NULL DEFAULT now(),
    -- token:ID, http (a server without tokens), or cli:USER.
    actor   text NOT NULL,
    action  text NOT NULL,
    target  text NOT NULL,
    detail  jsonb NOT NULL DEFAULT '{}',
    -- The user of the database who has written the row. The writer cannot choose it, nor the time.
    db_user text NOT NULL DEFAULT session_user,

    CONSTRAINT audit_pkey PRIMARY KEY (id)
);

CREATE INDEX audit_at ON leasehold.audit (at);

-- The owner is that of the tables beside them. Rights that new tables get by default are too many here: nobody but the owner changes
-- or deletes rows of the audit, and nobody but the owner, and the role of the server (see `leasehold migrate roles`), reads a hash.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON leasehold.%s FROM %s', c.relname, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid IN ('leasehold.token'::regclass, 'leasehold.audit'::regclass) AND a.grantee <> c.relowner
        UNION ALL
        -- Who may enqueue may change a job by hand.
        SELECT format('GRANT INSERT (actor, action, target, detail) ON leasehold.audit TO %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.job'::regclass AND a.privilege_type = 'INSERT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('GRANT SELECT %s ON leasehold.%s TO %s', t.columns, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('audit', ''),
            ('token', '(id, name, scopes, created_at, expires_at, revoked_at, rotated_at, old_hash_until, last_used_at)')) t(name, columns)
        WHERE c.oid = 'leasehold.http_claim'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('token'), ('audit')) t(name)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
