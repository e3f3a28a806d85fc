-- pooled_begin_17: the additional settings of pooled_begin on PostgreSQL 17 and later.
--
-- Guard:      the same as pooled_begin. Each statement has a timeout, so the transaction needs none.
-- Zero rows:  always.
-- Index:      none.
;
SET LOCAL transaction_timeout = 0
