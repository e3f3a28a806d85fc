-- pooled_rollback: rolls back the transaction of pooled_begin after its statement has failed.
--
-- Guard:      none.
-- Zero rows:  always.
-- Index:      none.
ROLLBACK
