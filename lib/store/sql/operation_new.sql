-- operation_new: makes an operation. A server takes it when it has room.
--
-- Guard:      at most $7 operations are open at the same time.
-- Parameters: $1 action, $2 priority, $3 queue, $4 filter, $5 actor, $6 cursor, $7 the most open operations.
-- Zero rows:  the maximum number of operations is already open.
-- Index:      operation_open.
INSERT INTO leasehold.operation (id, action, priority, to_queue, filter, actor, cursor)
SELECT leasehold.new_id(), $1::text, $2::smallint, $3::text, $4::json, $5::text, $6::json
WHERE (SELECT count(*) FROM leasehold.operation o WHERE o.finished_at IS NULL) < $7::bigint
RETURNING id
