-- The schema of Leasehold, for psql:  psql -v ON_ERROR_STOP=1 -f this-file
-- Afterwards `leasehold migrate` finds nothing to do. The script is for a database without the schema leasehold;
-- if the schema exists, the script stops and changes nothing.
BEGIN;
$LOCK;
CREATE SCHEMA leasehold;
$TABLE;

