-- ping: whether the server answers.
--
-- Guard:      none.
-- Zero rows:  never.
-- Index:      none.
SELECT 1
