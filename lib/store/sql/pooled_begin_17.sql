-- pooled_begin_17: what pooled_begin sets besides, on a server that has it: PostgreSQL 17 and later.
--
-- Guard:      as there. Each statement has its own limit, so the transaction needs none.
-- Zero rows:  always.
-- Index:      none.
;
SET LOCAL transaction_timeout = 0
