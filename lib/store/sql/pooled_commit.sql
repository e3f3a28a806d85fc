-- pooled_commit: commits the transaction of pooled_begin.
--
-- Guard:      sent only after the statement has succeeded. If the answer is lost, the outcome of the statement is unknown,
--             just as without a pooler when the answer to the statement is lost.
-- Zero rows:  always.
-- Index:      none.
COMMIT
