-- operations: the newest operations, or one operation.
--
-- Guard:      none, it only reads.
-- Parameters: $1 id, or NULL for the newest ones; $2 limit.
-- Zero rows:  there is no operation at all, or no operation with this id.
-- Index:      operation_pkey, backwards.
SELECT o.id, o.action, o.priority, o.to_queue::text AS to_queue, o.filter::text AS filter, o.actor, o.state, o.total, o.changed,
       o.told_to_stop, o.unique_key_taken, cardinality(o.locked) AS locked, o.reason, o.cancel_requested_at, o.created_at, o.started_at,
       o.finished_at
FROM leasehold.operation o
WHERE $1::uuid IS NULL OR o.id = $1::uuid
ORDER BY o.id DESC
LIMIT $2::bigint
