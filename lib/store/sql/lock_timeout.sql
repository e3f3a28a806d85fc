-- lock_timeout: how long the statements of this transaction wait for a lock.
--
-- Parameters: $1 a time with its unit, such as 200ms.
SELECT set_config('lock_timeout', $1, true)
