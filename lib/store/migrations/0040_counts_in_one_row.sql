-- no-transaction
-- A claim or a completion notes its change of the counts in one row instead of two. See docs/adr/0044-counts-are-folded-by-snapshot.md.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- The state in which there are fewer jobs: as many as there are more in `state`. NULL if the jobs were in no live state, or if another
-- row says this.
-- step
ALTER TABLE leasehold.count_change ADD COLUMN IF NOT EXISTS from_state leasehold.job_state;

-- Whoever may note a change may name both states.
-- step
DO $$
DECLARE
    statement text;
BEGIN
    FOR statement IN
        SELECT format('GRANT INSERT (from_state) ON leasehold.count_change TO %s', coalesce(quote_ident(r.rolname), 'PUBLIC'))
        FROM pg_attribute a CROSS JOIN LATERAL aclexplode(a.attacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee
        WHERE a.attrelid = 'leasehold.count_change'::regclass AND a.attname = 'state' AND g.privilege_type = 'INSERT'
    LOOP
        EXECUTE statement;
    END LOOP;
END
$$;

-- An earlier program reads such a row as if the jobs were still in the first state too. Its `stats` and `doctor` then count jobs twice,
-- for 5 s at most: until the next fold. All else that it does is right.
-- step
INSERT INTO leasehold.works_with (migration, programs_from) VALUES (40, 37) ON CONFLICT DO NOTHING;
