-- migration_concurrent_begin: before what cannot be done in a transaction. It waits for the transactions that are open, and
-- holds up nobody meanwhile. For a connection of its own, which is closed after it.
SET lock_timeout = 0;
SET statement_timeout = 0
