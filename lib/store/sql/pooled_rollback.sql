-- pooled_rollback: ends what pooled_begin began, after the statement has failed.
--
-- Guard:      none.
-- Zero rows:  always.
-- Index:      none.
ROLLBACK
