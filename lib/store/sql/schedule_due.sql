-- schedule_due: the schedules whose tick has come, the earliest first, and the next tick after now.
--
-- Guard:      none, it only reads.
-- Parameters: $1 limit, $2 scan start: no schedule is due before this time, or NULL.
-- Zero rows:  never. If no schedule is due, one row without a name.
-- Index:      schedule_due, two probes.
WITH due AS MATERIALIZED (
    SELECT s.name, s.revision, s.cron, s.timezone, s.every_ms, s.missed_limit, s.next_at
    FROM leasehold.schedule s
    WHERE s.next_at <= now() AND s.next_at >= coalesce($2::timestamptz, '-infinity')
    ORDER BY s.next_at LIMIT $1::bigint
)
SELECT now() AS now, (SELECT min(s.next_at) FROM leasehold.schedule s WHERE s.next_at > now()) AS next_due,
       d.name::text AS name, d.revision, d.cron, d.timezone, d.every_ms, d.missed_limit, d.next_at
FROM (SELECT) AS once
LEFT JOIN due d ON true
