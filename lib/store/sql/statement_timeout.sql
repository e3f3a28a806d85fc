-- statement_timeout: sets the statement timeout of this connection, until it is set again.
--
-- Guard:      only on a direct connection, never through a pooler, where the next client would have this setting.
-- Parameters: $1 milliseconds, as text.
-- Zero rows:  impossible.
-- Index:      none.
SELECT set_config('statement_timeout', $1::text, false)
