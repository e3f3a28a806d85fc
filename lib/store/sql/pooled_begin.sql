-- pooled_begin: begins the transaction in which a statement goes through a connection pooler.
--
-- Guard:      a pooler keeps one connection of the server for us from here to the end of the transaction, and no longer.
--             So what is set here is set LOCAL: it ends with the transaction, and no other client ever has it.
-- Settings:   those that connections without a pooler ask for when they are made (`PLANNING` in connect.rs, with reasons).
-- Form:       one message, answered at once: the settings cost no round trip.
-- Zero rows:  always.
-- Index:      none.
BEGIN;
SET LOCAL plan_cache_mode = auto;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
