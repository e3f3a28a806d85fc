-- operation_cancel: ends an operation that no server works on. If a server works on the operation, the statement tells
-- that server to stop after its page.
--
-- Guard:      the row is locked. An operation that has ended stays as it is.
-- Parameters: $1 id.
-- Zero rows:  there is no such operation, or it has ended.
-- Index:      operation_pkey.
UPDATE leasehold.operation o
SET cancel_requested_at = coalesce(o.cancel_requested_at, now()),
    state = CASE WHEN o.state = 'waiting' THEN 'cancelled' ELSE o.state END,
    finished_at = CASE WHEN o.state = 'waiting' THEN now() END
WHERE o.id = $1::uuid AND o.finished_at IS NULL
RETURNING o.state
