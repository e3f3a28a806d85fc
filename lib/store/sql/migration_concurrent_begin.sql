-- migration_concurrent_begin: before what cannot be done in a transaction. It waits for the transactions that are open, and
-- holds up nobody meanwhile. If whoever sent it is gone, it ends soon, and is not in the way of the next one. For a connection
-- of its own, which is closed after it.
SET client_connection_check_interval = '1s';
SET lock_timeout = 0;
SET statement_timeout = 0
