-- encoding: how this database keeps text.
--
-- Guard:      none, it reads.
-- Parameters: none.
-- Zero rows:  cannot be.
-- Index:      none.
SELECT current_setting('server_encoding')
