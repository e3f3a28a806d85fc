-- Drops functions that no longer have a file, but only those that an earlier file or migration has created. Then sets the
-- revision of all remaining functions to $REVISION.
DO $apply$
DECLARE
    made record;
BEGIN
    FOR made IN
        SELECT p.oid::regprocedure AS called
        FROM leasehold.function f
        JOIN pg_proc p ON p.proname = f.name AND p.pronamespace = 'leasehold'::regnamespace
        WHERE f.name <> ALL ('{$NAMES}'::text[])
    LOOP
        EXECUTE format('DROP FUNCTION %s', made.called);
    END LOOP;
    DELETE FROM leasehold.function WHERE name <> ALL ('{$NAMES}'::text[]);
    UPDATE leasehold.function SET revision = $REVISION WHERE revision <> $REVISION;
END
$apply$;

