-- The schema of Leasehold, for psql:  psql -v ON_ERROR_STOP=1 -f this-file
-- Afterwards `leasehold migrate` finds nothing to do. It is for a database that has no schema leasehold yet;
-- where there is one it stops and changes nothing.
BEGIN;
$LOCK;
CREATE SCHEMA leasehold;
$TABLE;

