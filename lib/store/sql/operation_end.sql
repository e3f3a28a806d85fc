-- operation_end: ends an operation: done, cancelled or failed. Or gives the operation back, so that another server can continue
-- it immediately.
--
-- Guard:      the server and the epoch have the operation.
-- Parameters: $1 id, $2 server, $3 epoch, $4 the state: done, cancelled, failed, or waiting to give it back; $5 the reason of a failure.
-- Zero rows:  another server has the operation, or it has ended.
-- Index:      operation_pkey.
UPDATE leasehold.operation o
SET state = $4::text, reason = $5::text, worker = NULL, lease_expires_at = NULL,
    finished_at = CASE WHEN $4::text <> 'waiting' THEN now() END
WHERE o.id = $1::uuid AND o.worker = $2::uuid AND o.epoch = $3::integer AND o.state = 'running'
RETURNING o.id
