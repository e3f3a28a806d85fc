-- migration_begin: begins the transaction of a migration. It waits only a moment for each lock, because every session that
-- comes later waits behind it. A step that fails because a lock is taken is tried again, after a pause in which other
-- sessions continue.
BEGIN;
SET LOCAL lock_timeout = '200ms';
SET LOCAL statement_timeout = 0;
SET LOCAL idle_in_transaction_session_timeout = 0
