-- retain_days: the days (UTC) that need a partition: today, the next three days, and the days of rows in the default
-- partition that must be kept.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the retention of finished jobs, in seconds.
-- Index:      none; the default partition is normally empty.
SELECT (now() AT TIME ZONE 'UTC')::date + ahead AS day FROM generate_series(0, 3) AS ahead
UNION
SELECT (d.finished_at AT TIME ZONE 'UTC')::date FROM leasehold.history_default d
WHERE d.finished_at >= now() - $1::bigint * interval '1 second' AND d.finished_at < now() + interval '4 days'
ORDER BY day DESC
