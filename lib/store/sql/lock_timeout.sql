-- lock_timeout: sets the lock timeout of this transaction's statements.
--
-- Parameters: $1 a duration with its unit, such as 200ms.
SELECT set_config('lock_timeout', $1, true)
