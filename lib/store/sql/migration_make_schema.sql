-- migration_make_schema: needs CREATE on the database, and is asked only where there is no schema yet.
CREATE SCHEMA leasehold
