-- Functions apart from migrations: `leasehold migrate` makes them from lib/store/functions, a file a function, and makes a
-- function again when the hash of its file has changed. From here on, migrations change tables and types only.

-- The functions that the database has from such files.
CREATE TABLE leasehold.function (
    name       text PRIMARY KEY,
    -- Of the file; empty for a function that a migration made.
    hash       bytea NOT NULL,
    -- The revision of all functions together, in the program that applied them last. It tells older from newer.
    revision   integer NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- Those that the migrations up to here have made. Functions that users have put into the schema are theirs.
INSERT INTO leasehold.function (name, hash, revision)
SELECT made.name, '', 0
FROM unnest(ARRAY['cancel', 'cancel_batch', 'drop_partition', 'enqueue', 'enqueue_checked', 'enqueue_unless_held', 'first_id_at',
                  'is_deeper_than', 'is_off_clock', 'make_partition', 'new_id', 'time_of_id', 'with_trail']) AS made(name);

-- A job as somebody wants it, before it is validated: what leasehold.enqueue_spec takes.
CREATE TYPE leasehold.job_spec AS (
    id           uuid,
    queue        text,
    kind         text,
    payload      json,
    priority     integer,
    run_at       timestamptz,
    max_attempts integer,
    max_crashes  integer,
    timeout      interval,
    unique_key   text,
    limit_key    text,
    depends_on   uuid[]
);

-- Whoever may read which migrations the database has may read which functions it has, and nobody but the owner writes either:
-- each program asks both at its start.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('REVOKE ALL ON leasehold.function FROM %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.function'::regclass AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('GRANT %s ON leasehold.function TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.migration'::regclass AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER %s OWNER TO %I', made.what, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('TABLE leasehold.function'), ('TYPE leasehold.job_spec')) AS made(what)
        WHERE c.oid = 'leasehold.migration'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
