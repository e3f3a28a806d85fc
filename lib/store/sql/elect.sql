-- elect: elects one process among all that send this statement, for as long as its transaction lasts.
--
-- Guard:      the lock belongs to the transaction. PostgreSQL ends the lock and the transaction when the connection is lost, or
--             when the process sends nothing for $ELECTED_FOR ms. The second case covers a process that is frozen, and a machine
--             that has disappeared while the connection still looks open.
-- Parameters: $ELECTED_FOR, inserted into the text. The text follows the text of pooled_begin in one message, so it works through
--             a pooler too. An elected process sends COMMIT before both texts, so no transaction is older than a round. An
--             elected process nearly always stays elected: another process gets the lock only if it asks between this COMMIT and
--             the new lock. By then, the first process has ended its round.
-- Zero rows:  impossible. NULL: the server takes no writes, so another server decides.
-- Cost:       the transaction reads no table and writes nothing, so it has no snapshot: it keeps no dead rows and blocks no migration.
-- Index:      none.
SET LOCAL idle_in_transaction_session_timeout = $ELECTED_FOR;
SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_try_advisory_xact_lock(hashtextextended('leasehold.pods', 0)) END AS is_elected
