-- Creates the function $NAME from its file. Overloads that the file no longer creates are dropped; owner and rights stay.
DO $apply$
DECLARE
    source constant text := $file$
$TEXT$file$;
    owner oid;
    old_functions oid[];
    old_versions tid[];
    grantees oid[];
    made record;
    grantee oid;
BEGIN
    SELECT n.nspowner INTO owner FROM pg_namespace n WHERE n.nspname = 'leasehold';
    SELECT coalesce(array_agg(p.oid), '{}'), coalesce(array_agg(p.ctid), '{}'), coalesce(min(p.proowner), owner)
    INTO old_functions, old_versions, owner
    FROM pg_proc p WHERE p.pronamespace = 'leasehold'::regnamespace AND p.proname = '$NAME';
    -- A role that may call an existing overload may call the new ones too. A function with a new name gets the owner's default rights.
    SELECT coalesce(array_agg(DISTINCT a.grantee), '{}') INTO grantees
    FROM (
        SELECT coalesce(p.proacl, acldefault('f', p.proowner)) AS rights FROM pg_proc p WHERE p.oid = ANY (old_functions)
        UNION ALL
        SELECT d.defaclacl FROM pg_default_acl d
        WHERE old_functions = '{}' AND d.defaclobjtype = 'f' AND d.defaclrole = owner AND d.defaclnamespace = 'leasehold'::regnamespace
    ) r CROSS JOIN LATERAL aclexplode(r.rights) a
    WHERE a.privilege_type = 'EXECUTE' AND a.grantee <> owner;

    BEGIN
        EXECUTE source;
    EXCEPTION WHEN invalid_function_definition THEN
        -- CREATE OR REPLACE changes neither the type of the answer nor names of parameters, and removes no default of a
        -- parameter.
        FOR made IN SELECT p.oid::regprocedure AS called FROM pg_proc p WHERE p.oid = ANY (old_functions) LOOP
            EXECUTE format('DROP FUNCTION %s', made.called);
        END LOOP;
        EXECUTE source;
    END;

    FOR made IN
        SELECT p.oid, p.oid::regprocedure AS called, p.proowner, p.oid = ANY (old_functions) AS is_old,
               p.ctid = ANY (old_versions) AS is_untouched
        FROM pg_proc p WHERE p.pronamespace = 'leasehold'::regnamespace AND p.proname = '$NAME'
    LOOP
        IF made.is_old AND made.is_untouched THEN
            EXECUTE format('DROP FUNCTION %s', made.called);
        ELSIF NOT made.is_old THEN
            IF made.proowner <> owner AND pg_has_role(owner, 'MEMBER') THEN
                EXECUTE format('ALTER FUNCTION %s OWNER TO %I', made.called, pg_get_userbyid(owner));
            END IF;
            EXECUTE format('REVOKE EXECUTE ON FUNCTION %s FROM PUBLIC', made.called);
            FOREACH grantee IN ARRAY grantees LOOP
                EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO %s', made.called,
                               CASE WHEN grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(grantee)) END);
            END LOOP;
        END IF;
    END LOOP;

    INSERT INTO leasehold.function (name, hash, revision) VALUES ('$NAME', '\x$HASH', $REVISION)
    ON CONFLICT (name) DO UPDATE SET hash = excluded.hash, revision = excluded.revision, applied_at = excluded.applied_at;
END
$apply$;

