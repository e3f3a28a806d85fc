-- roles: the roles of Leasehold and their rights. Run by a superuser, or by a role that may create roles and owns the
-- schema, after each `leasehold migrate`. May be run again.
--
--   leasehold_owner    owns the schema: `leasehold migrate`
--   leasehold_app      enqueues, cancels and reads: clients
--   leasehold_worker   workers, reapers, and an operator's commands
--   leasehold_reader   reads: stats, lists, explanations, doctor
--
-- None of these roles can log in. Grant them to roles that can:  GRANT leasehold_worker TO my_worker;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['leasehold_owner', 'leasehold_app', 'leasehold_worker', 'leasehold_reader'] LOOP
        IF to_regrole(name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION WHEN duplicate_object OR unique_violation THEN
                -- Another session has just created the role.
                NULL;
            END;
        END IF;
    END LOOP;
END
$$;

-- Everything in the schema belongs to the schema's owner. The functions for users run with the rights of their owner.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('ALTER SCHEMA leasehold OWNER TO leasehold_owner')
        FROM pg_namespace n WHERE n.nspname = 'leasehold' AND n.nspowner <> to_regrole('leasehold_owner')::oid
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO leasehold_owner', CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END,
                      c.oid::regclass)
        FROM pg_class c
        WHERE c.relnamespace = 'leasehold'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'S')
          AND c.relowner <> to_regrole('leasehold_owner')::oid
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO leasehold_owner', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.oid::regtype)
        FROM pg_type t
        WHERE t.typnamespace = 'leasehold'::regnamespace
          -- A table has a type too, whose owner is that of the table.
          AND (t.typtype IN ('d', 'e') OR EXISTS (SELECT FROM pg_class c WHERE c.oid = t.typrelid AND c.relkind = 'c'))
          AND t.typowner <> to_regrole('leasehold_owner')::oid
        UNION ALL
        SELECT format('ALTER FUNCTION %s OWNER TO leasehold_owner', p.oid::regprocedure)
        FROM pg_proc p
        WHERE p.pronamespace = 'leasehold'::regnamespace AND p.proowner <> to_regrole('leasehold_owner')::oid
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

REVOKE ALL ON SCHEMA leasehold FROM PUBLIC;
REVOKE ALL ON ALL TABLES IN SCHEMA leasehold FROM PUBLIC;
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA leasehold TO leasehold_app, leasehold_worker, leasehold_reader;

GRANT SELECT ON ALL TABLES IN SCHEMA leasehold TO leasehold_reader;
GRANT EXECUTE ON FUNCTION leasehold.first_id_at(timestamptz), leasehold.time_of_id(uuid),
    leasehold.line_at(timestamptz, integer, text), leasehold.limit_of(text), leasehold.is_fair(text) TO leasehold_reader, leasehold_app;

GRANT SELECT ON leasehold.job, leasehold.history, leasehold.queue, leasehold.jobs, leasehold.edge, leasehold.batch,
    leasehold.key_limit, leasehold.limit_slot, leasehold.limit_bucket, leasehold.fair_weight, leasehold.pause, leasehold.migration, leasehold.function TO leasehold_app;
GRANT INSERT ON leasehold.job TO leasehold_app;
DO $$
DECLARE
    called regprocedure;
BEGIN
    FOR called IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'leasehold'::regnamespace
          AND p.proname IN ('enqueue', 'enqueue_checked', 'enqueue_unless_held', 'enqueue_jobs', 'enqueue_many',
                            'enqueue_nodes', 'enqueue_graph',
                            'admit_fair', 'seal_batch', 'cancel', 'cancel_batch', 'place_batch', 'set_priority', 'new_id', 'line_at')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO leasehold_app', called);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leasehold TO leasehold_worker;
REVOKE INSERT, UPDATE, DELETE ON leasehold.migration, leasehold.function FROM leasehold_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leasehold TO leasehold_worker;

-- For objects that later migrations create.
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT SELECT ON TABLES TO leasehold_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO leasehold_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT EXECUTE ON FUNCTIONS TO leasehold_worker;
