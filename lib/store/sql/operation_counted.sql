-- operation_counted: notes how many jobs an operation will change.
--
-- Guard:      the server and the epoch have the operation.
-- Parameters: $1 id, $2 server, $3 epoch, $4 total, $5 the length of the lease in ms.
-- Zero rows:  another server has the operation, or it has ended.
-- Index:      operation_pkey.
UPDATE leasehold.operation o SET total = $4::bigint, lease_expires_at = now() + $5::bigint * interval '1 ms'
WHERE o.id = $1::uuid AND o.worker = $2::uuid AND o.epoch = $3::integer AND o.state = 'running'
RETURNING o.id
