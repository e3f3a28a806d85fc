-- migration_make_schema: creates the schema. Needs CREATE on the database, and is sent only if there is no schema yet.
CREATE SCHEMA leasehold
