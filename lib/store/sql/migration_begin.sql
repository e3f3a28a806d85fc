-- migration_begin: begins the transaction of a migration, which waits for each lock only for a moment: all who come after it
-- wait behind it meanwhile. What fails for that is tried again, after a pause in which the others get on.
BEGIN;
SET LOCAL lock_timeout = '200ms';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0
