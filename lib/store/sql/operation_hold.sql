-- operation_hold: begins a page of an operation: renews the lease and locks the row until the end of the transaction.
--
-- Guard:      the server and the epoch have the operation. So a server whose operation another server has taken over changes no job.
-- Parameters: $1 id, $2 server, $3 epoch, $4 the length of the lease in ms.
-- Zero rows:  another server has the operation, or it has ended.
-- Index:      operation_pkey.
UPDATE leasehold.operation o SET lease_expires_at = now() + $4::bigint * interval '1 ms'
WHERE o.id = $1::uuid AND o.worker = $2::uuid AND o.epoch = $3::integer AND o.state = 'running'
RETURNING o.cancel_requested_at IS NOT NULL AS cancel_wanted
