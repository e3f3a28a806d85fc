-- migration_concurrent_begin: settings for a step that cannot run in a transaction. The step waits for open transactions
-- and blocks no other session. If the client of the step has disappeared, the step ends soon and does not block the next
-- step. The settings need a separate connection, which is closed afterwards.
SET client_connection_check_interval = '1s';
SET lock_timeout = 0;
SET statement_timeout = 0
