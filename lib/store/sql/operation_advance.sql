-- operation_advance: ends a page of an operation, in the transaction of operation_hold: the new cursor, and what the page did.
--
-- Guard:      operation_hold has locked the row in this transaction. The statement checks the fence all the same.
-- Parameters: $1 id, $2 server, $3 epoch, $4 cursor, $5 locked jobs, $6 jobs that were changed, $7 workers that were told to stop,
--             $8 jobs whose unique key is taken.
-- Zero rows:  another server has the operation.
-- Index:      operation_pkey.
UPDATE leasehold.operation o
SET cursor = $4::json, locked = $5::uuid[], changed = o.changed + $6::bigint, told_to_stop = o.told_to_stop + $7::bigint,
    unique_key_taken = o.unique_key_taken + $8::bigint
WHERE o.id = $1::uuid AND o.worker = $2::uuid AND o.epoch = $3::integer AND o.state = 'running'
RETURNING o.id
