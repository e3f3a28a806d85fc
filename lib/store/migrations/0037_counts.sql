-- no-transaction
-- How many jobs each queue and kind has in each state, without reading the jobs. See docs/adr/0044-counts-are-folded-by-snapshot.md.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- One row for each queue, kind and state whose number of jobs a statement has changed. The rows are only ever inserted, folded into
-- `folded_count` by a reaper, and deleted, so no writer waits for another writer. A final state counts ends: its rows are never negative.
-- step
CREATE TABLE IF NOT EXISTS leasehold.count_change (
    -- The transaction. Its rows appear all at once, when it commits.
    xact  xid8 NOT NULL DEFAULT pg_current_xact_id(),
    at    timestamptz NOT NULL DEFAULT now(),
    -- Names that leasehold.job has checked already.
    queue text NOT NULL,
    kind  text NOT NULL,
    state leasehold.job_state NOT NULL,
    jobs  bigint NOT NULL
) WITH (
    -- To give back the end of a table takes a lock that stops all writers for a moment.
    vacuum_truncate = off,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- A reader begins at the transactions that the last fold did not see. So it never reads what is folded, also while an old snapshot
-- keeps PostgreSQL from removing those rows.
-- step
CREATE INDEX IF NOT EXISTS count_change_xact ON leasehold.count_change (xact);

-- One row for each fold: which transactions it has counted.
-- step
CREATE TABLE IF NOT EXISTS leasehold.count_fold (
    fold     bigint NOT NULL,
    at       timestamptz NOT NULL DEFAULT now(),
    -- Exactly the changes of transactions that this snapshot shows are in the rows of this fold.
    snapshot pg_snapshot NOT NULL,
    -- The number of its rows in folded_count.
    pairs    bigint NOT NULL,
    -- The first fold that was not deleted.
    kept_from bigint NOT NULL,

    CONSTRAINT count_fold_pkey PRIMARY KEY (fold)
) WITH (vacuum_truncate = off);

-- The counts of each fold. A fold writes all its rows anew and deletes those of a fold that is over a minute old. It never changes a row,
-- so a reader of one fold never reads the rows of another one.
-- step
CREATE TABLE IF NOT EXISTS leasehold.folded_count (
    fold      bigint NOT NULL,
    queue     text NOT NULL,
    kind      text NOT NULL,
    -- The fold in which the queue and the kind appeared. Ends are counted from then on.
    since     bigint NOT NULL,
    blocked   bigint NOT NULL,
    scheduled bigint NOT NULL,
    queued    bigint NOT NULL,
    running   bigint NOT NULL,
    -- How many jobs have ended since then. The difference between two folds is what has ended between them.
    succeeded bigint NOT NULL,
    dead      bigint NOT NULL,
    cancelled bigint NOT NULL,
    -- When a job was last counted as ended.
    ended_at  timestamptz,

    CONSTRAINT folded_count_pkey PRIMARY KEY (fold, queue, kind)
) WITH (
    vacuum_truncate = off,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_vacuum_cost_delay = 0
);

-- The parent of leasehold.job has no rows of its own, as its CHECK says, and the planner leaves it out for the same reason. A statement
-- that names the parent changes rows of leasehold.job, and the triggers of leasehold.job for statements do not fire. `claim` and `complete`,
-- which a plain job pays for, do so and note their changes themselves; `renew` and `report` change no number of jobs.
-- step
CREATE TABLE IF NOT EXISTS leasehold.job_noted (
    LIKE leasehold.job,
    CONSTRAINT job_noted_has_no_rows CHECK (state IS NULL) NO INHERIT
);

-- step
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'leasehold.job_noted'::regclass) THEN
        ALTER TABLE leasehold.job INHERIT leasehold.job_noted;
    END IF;
END
$$;

-- The tables have the rights and the owner of the tables beside them, whoever runs this migration. Whoever may change jobs may add
-- changes of counts, and chooses neither their transaction nor their time.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT %s ON leasehold.%s TO %s', a.privilege_type, t.name, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        CROSS JOIN (VALUES ('count_change'), ('count_fold'), ('folded_count')) t(name)
        WHERE c.oid = 'leasehold.edge'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('GRANT %s ON leasehold.job_noted TO %s', a.privilege_type, coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.job'::regclass AND a.privilege_type IN ('SELECT', 'INSERT', 'UPDATE', 'DELETE')
          AND a.grantee <> c.relowner
        UNION ALL
        SELECT DISTINCT format('GRANT INSERT (queue, kind, state, jobs), SELECT ON leasehold.count_change TO %s',
                               coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.job'::regclass AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE') AND a.grantee <> c.relowner
        UNION ALL
        SELECT DISTINCT format('GRANT SELECT ON leasehold.count_fold, leasehold.folded_count TO %s',
                               coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.job'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER TABLE leasehold.%s OWNER TO %I', t.name, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('count_change'), ('count_fold'), ('folded_count'), ('job_noted')) t(name)
        WHERE c.oid = 'leasehold.edge'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- From the end of this step on, each statement of each program notes its changes, whatever its version.
-- step, with function note_counts
REVOKE EXECUTE ON FUNCTION leasehold.note_counts() FROM PUBLIC;
CREATE OR REPLACE TRIGGER count_inserted AFTER INSERT ON leasehold.job
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION leasehold.note_counts();
CREATE OR REPLACE TRIGGER count_updated AFTER UPDATE ON leasehold.job
    REFERENCING OLD TABLE AS gone NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION leasehold.note_counts();
CREATE OR REPLACE TRIGGER count_deleted AFTER DELETE ON leasehold.job
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION leasehold.note_counts();
CREATE OR REPLACE TRIGGER count_truncated AFTER TRUNCATE ON leasehold.job
    FOR EACH STATEMENT EXECUTE FUNCTION leasehold.note_counts();

-- The first fold counts the jobs themselves, while others write: one snapshot shows both the jobs and whose changes it has counted.
-- The function is made again with the others, so it gets their owner and their rights.
-- step, with function fold_counts
SELECT leasehold.fold_counts(true);
DROP FUNCTION leasehold.fold_counts(boolean);
