-- pooled_begin: begins the transaction in which a statement goes through a connection pooler, or is planned for what it asks.
--
-- Guard:      a pooler keeps one connection of the server for us from here to the end of the transaction, and no longer.
--             So what is set here is set LOCAL: it ends with the transaction, and no other client ever has it.
-- Settings:   those of `PLANNING` in connect.rs, with reasons.
-- Form:       one message, answered at once: the settings cost no round trip.
-- Zero rows:  always.
-- Index:      none.
BEGIN;
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL enable_seqscan = off;
SET LOCAL jit = off
