-- roles: the roles of Leasehold and their rights. Run by a superuser, or by a role that may create roles and owns the
-- schema, after each `leasehold migrate`. May be run again.
--
--   leasehold_owner    owns the schema: `leasehold migrate`
--   leasehold_app      enqueues, cancels and reads: clients
--   leasehold_worker   workers, reapers, and an operator's commands
--   leasehold_api      `leasehold api`: the rights of a worker, and reading what proves tokens
--   leasehold_reader   reads: stats, lists, explanations, doctor
--
-- None of these roles can log in. Grant them to roles that can:  GRANT leasehold_worker TO my_worker;
DO $$
DECLARE
    name text;
BEGIN
    FOREACH name IN ARRAY ARRAY['leasehold_owner', 'leasehold_app', 'leasehold_worker', 'leasehold_api', 'leasehold_reader'] LOOP
        IF to_regrole(name) IS NULL THEN
            BEGIN
                EXECUTE format('CREATE ROLE %I NOLOGIN', name);
            EXCEPTION
                WHEN duplicate_object OR unique_violation THEN
                    -- Another session has just created the role.
                    NULL;
                WHEN insufficient_privilege THEN
                    -- The owner of the schema may not create roles. Without this role, a server can serve while there are no
                    -- tokens.
                    IF name <> 'leasehold_api' THEN RAISE; END IF;
            END;
        END IF;
    END LOOP;
END
$$;

-- Everything in the schema belongs to the schema's owner. The functions for users run with the rights of this owner.
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
          -- The sequence of a column has the owner of the table.
          AND NOT EXISTS (SELECT FROM pg_depend d
                          WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i') AND c.relkind = 'S')
        UNION ALL
        SELECT format('ALTER %s %s OWNER TO leasehold_owner', CASE t.typtype WHEN 'd' THEN 'DOMAIN' ELSE 'TYPE' END, t.oid::regtype)
        FROM pg_type t
        WHERE t.typnamespace = 'leasehold'::regnamespace
          -- Each table also has a row type with the same owner.
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
-- A role that can read the secret of a webhook could sign messages.
REVOKE ALL ON leasehold.webhook_secret FROM leasehold_reader;
GRANT EXECUTE ON FUNCTION leasehold.first_id_at(timestamptz), leasehold.time_of_id(uuid),
    leasehold.line_at(timestamptz, integer, text), leasehold.limit_of(text), leasehold.is_fair(text),
    leasehold.key_room(text, interval), leasehold.queue_load(text, text[], timestamptz, uuid[]),
    leasehold.queue_load(text, text[], timestamptz, uuid[], json) TO leasehold_reader, leasehold_app;

GRANT SELECT ON leasehold.job, leasehold.history, leasehold.queue, leasehold.jobs, leasehold.edge, leasehold.batch, leasehold.job_webhook,
    leasehold.key_limit, leasehold.limit_change, leasehold.limit_slot, leasehold.limit_bucket, leasehold.fair_weight,
    leasehold.fair_weight_change, leasehold.pause, leasehold.migration, leasehold.works_with, leasehold.function TO leasehold_app;
GRANT INSERT ON leasehold.job TO leasehold_app;
-- A role that inserts a job must also write the change of the counts.
GRANT SELECT ON leasehold.count_change, leasehold.count_fold, leasehold.folded_count TO leasehold_app;
GRANT INSERT (queue, kind, state, jobs, from_state) ON leasehold.count_change TO leasehold_app;
DO $$
DECLARE
    called regprocedure;
BEGIN
    FOR called IN
        SELECT p.oid FROM pg_proc p
        WHERE p.pronamespace = 'leasehold'::regnamespace
          AND p.proname IN ('enqueue', 'enqueue_checked', 'enqueue_unless_held', 'held_parents', 'enqueue_jobs', 'enqueue_many',
                            'enqueue_nodes', 'enqueue_graph',
                            'admit_fair', 'seal_batch', 'cancel', 'cancel_batch', 'place_batch', 'set_priority', 'new_id', 'line_at')
    LOOP
        EXECUTE format('GRANT EXECUTE ON FUNCTION %s TO leasehold_app', called);
    END LOOP;
END
$$;

GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leasehold TO leasehold_worker;
REVOKE INSERT, UPDATE, DELETE ON leasehold.migration, leasehold.works_with, leasehold.function FROM leasehold_worker;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leasehold TO leasehold_worker;

-- The owner makes tokens. Only the server reads the hashes that prove them.
REVOKE ALL ON leasehold.token FROM leasehold_worker, leasehold_reader;
GRANT SELECT (id, name, scopes, created_at, expires_at, revoked_at, rotated_at, old_hash_until, last_used_at)
    ON leasehold.token TO leasehold_worker, leasehold_reader;

-- Rows of the audit are added and never changed. A writer chooses neither the time nor the user of the database.
REVOKE ALL ON leasehold.audit FROM leasehold_app, leasehold_worker, leasehold_reader;
GRANT INSERT (actor, action, target, detail) ON leasehold.audit TO leasehold_app, leasehold_worker;
GRANT SELECT ON leasehold.audit TO leasehold_worker, leasehold_reader;

-- Not a member of leasehold_worker: only a superuser can make one role a member of another.
DO $$
BEGIN
    IF to_regrole('leasehold_api') IS NULL THEN RETURN; END IF;
    GRANT USAGE ON SCHEMA leasehold TO leasehold_api;
    GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA leasehold TO leasehold_api;
    REVOKE INSERT, UPDATE, DELETE ON leasehold.migration, leasehold.works_with, leasehold.function FROM leasehold_api;
    REVOKE ALL ON leasehold.token, leasehold.audit FROM leasehold_api;
    GRANT SELECT, UPDATE (last_used_at) ON leasehold.token TO leasehold_api;
    GRANT SELECT, INSERT (actor, action, target, detail) ON leasehold.audit TO leasehold_api;
    GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA leasehold TO leasehold_api;
    ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold
        GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO leasehold_api;
    ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT EXECUTE ON FUNCTIONS TO leasehold_api;
END
$$;

-- For objects that later migrations create.
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT SELECT ON TABLES TO leasehold_reader;
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold
    GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO leasehold_worker;
ALTER DEFAULT PRIVILEGES FOR ROLE leasehold_owner IN SCHEMA leasehold GRANT EXECUTE ON FUNCTIONS TO leasehold_worker;
