-- Functions that have no file any more are dropped: only those that an earlier file or migration has made. All that are left are
-- as revision $REVISION has them.
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

