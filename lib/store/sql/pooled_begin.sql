-- pooled_begin: begins the transaction in which a statement goes through a connection pooler, or is planned for what it asks.
--
-- Guard:      a pooler keeps one connection of the server for us from here to the end of the transaction, and no longer.
--             So what is set here is set LOCAL: it ends with the transaction, and no other client ever has it.
-- Parameters: $LIMIT, put into the text: how many milliseconds the server gives each statement of the transaction, and the
--             client between two of them.
-- Settings:   those of `PLANNING`, `PINNED` and `limits` in connect.rs, with reasons. Whether writes are allowed is not among
--             them: a server or database that was set read-only means it.
-- Form:       one message, answered at once: the settings cost no round trip.
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
SET LOCAL lock_timeout = 0;
SET LOCAL statement_timeout = $LIMIT;
SET LOCAL idle_in_transaction_session_timeout = $LIMIT;
SET LOCAL client_connection_check_interval = 250
