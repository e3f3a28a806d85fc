-- encoding: the text encoding of this database.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  impossible.
-- Index:      none.
SELECT current_setting('server_encoding')
