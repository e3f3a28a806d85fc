-- Changes of limits and weights wait in tables of their own until a short transaction puts them into force. So an open transaction that has
-- changed a limit or a weight holds up nobody. See docs/adr/0036-a-change-waits-in-a-table.md.

-- What transactions have asked for. The function apply_limits moves the rows into leasehold.key_limit.
CREATE TABLE leasehold.limit_change (
    key        leasehold.key NOT NULL,
    -- The transaction that asks. No two transactions write the same row, so none of them waits for another one.
    since      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    -- The columns of leasehold.key_limit. Neither `running` nor `rate`: the limit ends.
    running    integer,
    rate       double precision,
    rate_text  text,
    burst      integer,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT limit_change_pkey PRIMARY KEY (key, since)
);

-- Runs that began before this time may be more than the limit allows, as those from before `changed_at`.
ALTER TABLE leasehold.key_limit
    -- When a key last fell under this pattern, because the limit that came before the pattern ended.
    ADD COLUMN widened_at timestamptz;

-- The same for leasehold.fair_weight: the function apply_fair_weights moves the rows.
CREATE TABLE leasehold.fair_weight_change (
    queue      leasehold.name NOT NULL,
    fair_key   leasehold.key NOT NULL,
    since      xid8 NOT NULL DEFAULT pg_current_xact_id(),
    weight     double precision NOT NULL,
    asked_at   timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT fair_weight_change_pkey PRIMARY KEY (queue, fair_key, since)
);

-- Whoever may read or change limits may read or ask for changes.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.limit_change, leasehold.fair_weight_change TO %s',
                      a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.key_limit'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE %s OWNER TO %I', made.what, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('leasehold.limit_change'), ('leasehold.fair_weight_change')) AS made(what)
        WHERE c.oid = 'leasehold.key_limit'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
