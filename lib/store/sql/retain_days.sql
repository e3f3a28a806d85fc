-- retain_days: the days (UTC) that need a partition: today and the next three, and those of rows that landed in the
-- default partition and are to be kept.
--
-- Guard:      none, it only reads.
-- Parameters: $1 how long finished jobs are kept, in seconds.
-- Index:      none; the default partition is empty but for accidents.
SELECT (now() AT TIME ZONE 'UTC')::date + ahead AS day FROM generate_series(0, 3) AS ahead
UNION
SELECT (d.finished_at AT TIME ZONE 'UTC')::date FROM leasehold.history_default d
WHERE d.finished_at >= now() - $1::bigint * interval '1 second' AND d.finished_at < now() + interval '4 days'
ORDER BY day DESC
