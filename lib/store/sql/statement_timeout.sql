-- statement_timeout: sets how long a statement of this connection may take, until it is set again.
--
-- Guard:      only on a connection of our own, never through a pooler, where the next client would have it.
-- Parameters: $1 milliseconds, as text.
-- Zero rows:  cannot be.
-- Index:      none.
SELECT set_config('statement_timeout', $1::text, false)
