-- pooled_begin: begins the transaction in which a statement goes through a pooler, or is planned for its parameters.
--
-- Guard:      a pooler reserves one server connection for us from here to the end of the transaction, and no longer. So all
--             settings here are SET LOCAL: they end with the transaction, and no other client gets them.
-- Parameters: $LIMIT, inserted into the text: the timeout in ms for each statement of the transaction, and for the client
--             between two statements. $LOCKS: the timeout in ms for each lock; 0 for none.
-- Settings:   the settings of `PLANNING`, `PINNED` and `limits` in connect.rs, which has the reasons. The text does not set
--             whether writes are allowed: a server or a database that is read-only stays read-only.
-- Form:       one message with one answer: the settings cost no extra round trip.
-- Zero rows:  always.
-- Index:      none.
BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off;
SET LOCAL search_path = pg_catalog, public;
SET LOCAL row_security = on;
SET LOCAL transform_null_equals = off;
SET LOCAL IntervalStyle = postgres;
SET LOCAL lock_timeout = $LOCKS;
SET LOCAL statement_timeout = $LIMIT;
SET LOCAL idle_in_transaction_session_timeout = $LIMIT;
SET LOCAL client_connection_check_interval = 250
