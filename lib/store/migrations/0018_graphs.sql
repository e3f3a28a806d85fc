-- Jobs that wait for other jobs. See docs/adr/0026-the-settle-of-a-parent-counts-down.md.

-- `is_parent`: the settle of this job must look for children. NULL for all other jobs, so their settles look for nothing.
-- `unmet`: what a blocked job still waits for: edges, or counters that are not empty; 0 once nothing is left. NULL: the job has no
-- parents.
ALTER TABLE leasehold.job ADD COLUMN is_parent boolean, ADD COLUMN unmet integer;
ALTER TABLE leasehold.history ADD COLUMN is_parent boolean, ADD COLUMN unmet integer;

-- What happens to a job when one of its parents ends without success.
CREATE TYPE leasehold.parent_failure AS ENUM ('cancel', 'hold', 'run');

-- One row for each parent of a job. An edge is made together with its child. It stays until the child leaves history.
CREATE TABLE leasehold.edge (
    child             uuid NOT NULL,
    parent            uuid NOT NULL,
    -- The place of the parent in `depends_on`; 1 is the first.
    nth               integer NOT NULL,
    on_parent_failure leasehold.parent_failure NOT NULL,
    -- The child no longer waits for this parent. An edge is met once, so a parent that is revived is not counted twice.
    met               boolean NOT NULL DEFAULT false,
    created_at        timestamptz NOT NULL DEFAULT now(),

    CONSTRAINT edge_pkey PRIMARY KEY (child, parent),
    CONSTRAINT no_job_is_its_own_parent CHECK (child <> parent)
) WITH (
    -- An edge is met by an update within its page, without a new index entry.
    fillfactor = 50
);
CREATE INDEX edge_parent ON leasehold.edge (parent, child);
-- Edges are inserted in the order of their time, so a block range index finds old ones at almost no cost.
CREATE INDEX edge_created ON leasehold.edge USING brin (created_at) WITH (autosummarize = on);

-- The counters of a job with many parents. Together they are the number of its edges that are not met. A settle takes from any
-- counter that is free. With one counter, the settles of the parents would wait for each other.
CREATE TABLE leasehold.edge_count (
    child uuid NOT NULL,
    shard smallint NOT NULL,
    unmet integer NOT NULL,

    CONSTRAINT edge_count_pkey PRIMARY KEY (child, shard),
    CONSTRAINT shard_is_from_0_to_31 CHECK (shard BETWEEN 0 AND 31),
    CONSTRAINT unmet_is_not_negative CHECK (unmet >= 0)
) WITH (fillfactor = 50);

-- Parents that have ended, and whose children have not all been told: there were too many for one transaction, or another
-- session had locked one of them. A reaper goes on.
CREATE TABLE leasehold.ended_parent (
    parent   uuid NOT NULL,
    state    leasehold.job_state NOT NULL,
    noted_at timestamptz NOT NULL DEFAULT clock_timestamp(),

    CONSTRAINT ended_parent_pkey PRIMARY KEY (parent),
    CONSTRAINT ended_parent_has_ended CHECK (state IN ('succeeded', 'dead', 'cancelled'))
);

ALTER TYPE leasehold.job_spec
    ADD ATTRIBUTE on_parent_failure text,
    -- Set only by enqueue_nodes, which has counted the parents.
    ADD ATTRIBUTE unmet integer,
    ADD ATTRIBUTE is_parent boolean;

-- Whoever may read jobs may read why they wait.
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT SELECT ON leasehold.edge, leasehold.edge_count TO %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
        WHERE c.oid = 'leasehold.history'::regclass AND a.privilege_type = 'SELECT' AND a.grantee <> c.relowner
        UNION ALL
        SELECT format('ALTER %s OWNER TO %I', made.what, r.rolname)
        FROM pg_class c JOIN pg_roles r ON r.oid = c.relowner
        CROSS JOIN (VALUES ('TABLE leasehold.edge'), ('TABLE leasehold.edge_count'), ('TABLE leasehold.ended_parent'),
                           ('TYPE leasehold.parent_failure')) AS made(what)
        WHERE c.oid = 'leasehold.history'::regclass AND r.rolname <> current_user AND pg_has_role(r.oid, 'MEMBER')
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;
