-- pooled_commit: commits what pooled_begin began.
--
-- Guard:      sent only after the statement has succeeded. When its answer is lost, the outcome of the statement is
--             unknown, as it is without a pooler when the answer to the statement is lost.
-- Zero rows:  always.
-- Index:      none.
COMMIT
