-- retain_due: the days of history that still contain finished jobs that are older than the retention of their queue. Each day
-- is a whole partition. If a queue keeps its jobs for a shorter time than the others, its rows are deleted one by one. If a
-- queue keeps its jobs for a longer time, the partitions stay, and the rows of all other queues are deleted.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the retention of finished jobs, in seconds, for queues without a setting.
-- Answer:     pairs of a queue and a day, the oldest day first. The empty name means all queues without a retention setting.
-- Zero rows:  nothing to delete.
-- Index:      none; it reads the catalog, the queues, and the days that are done.
WITH day AS MATERIALIZED (
    SELECT to_date(substr(c.relname, 9), 'YYYY_MM_DD') AS day
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'leasehold.history'::regclass AND c.relname ~ '^history_\d{4}_\d{2}_\d{2}$'
), due AS (
    SELECT q.name::text AS queue, d.day FROM day d
    JOIN leasehold.queue q ON (d.day + 1)::timestamp AT TIME ZONE 'UTC' <= now() - q.keep_days * interval '24 hours'
    UNION ALL
    SELECT '', d.day FROM day d
    WHERE (d.day + 1)::timestamp AT TIME ZONE 'UTC' <= now() - $1::bigint * interval '1 second'
)
SELECT d.queue, d.day FROM due d
WHERE NOT EXISTS (SELECT FROM leasehold.trimmed_day t WHERE t.queue = d.queue AND t.day = d.day)
ORDER BY d.day, d.queue
