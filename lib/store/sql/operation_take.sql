-- operation_take: gives a server the oldest operation that no server works on: a new one, or one whose server has died or stopped.
--
-- Guard:      the row is locked; a row that another session has locked is skipped. The epoch rises, so the server that had the
--             operation before can write nothing more about it.
-- Parameters: $1 the server, $2 the length of the lease in ms.
-- Zero rows:  no operation waits for a server.
-- Index:      operation_open.
UPDATE leasehold.operation o
SET state = 'running', worker = $1::uuid, epoch = o.epoch + 1, lease_expires_at = now() + $2::bigint * interval '1 ms',
    started_at = coalesce(o.started_at, now())
WHERE o.id = (
    SELECT f.id FROM leasehold.operation f
    WHERE f.finished_at IS NULL AND (f.lease_expires_at IS NULL OR f.lease_expires_at < now())
    ORDER BY f.id LIMIT 1
    FOR UPDATE SKIP LOCKED)
RETURNING o.id, o.epoch, o.action, o.priority, o.to_queue::text AS to_queue, o.filter::text AS filter, o.cursor::text AS cursor, o.locked,
          o.total
