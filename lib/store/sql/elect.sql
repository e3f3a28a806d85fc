-- elect: elects one process among all that send this statement, for as long as its transaction lasts.
--
-- Guard:      the lock belongs to the transaction. PostgreSQL ends both when the connection is lost, or when the process says nothing
--             for $ELECTED_FOR ms: then the process is frozen, or its machine is gone, and the connection does not show it.
-- Parameters: $ELECTED_FOR, inserted into the text. The text stands behind that of pooled_begin in one message, so it works through a
--             pooler too. An elected process sends COMMIT before both: no transaction is older than a round. A process that is
--             elected nearly always stays so: another one is elected only if it asks at the same moment. Then the first one has ended its round.
-- Zero rows:  impossible. NULL: the server takes no writes, so another server decides.
-- Cost:       the transaction reads no table and writes nothing, so it has no snapshot: it keeps no dead rows and blocks no migration.
-- Index:      none.
SET LOCAL idle_in_transaction_session_timeout = $ELECTED_FOR;
SELECT CASE WHEN NOT pg_is_in_recovery() THEN pg_try_advisory_xact_lock(hashtextextended('leasehold.pods', 0)) END AS is_elected
