-- retain_trimmed: stores that the finished jobs of a queue have been deleted from a day, and deletes the rows of days
-- that no longer have a partition.
--
-- Guard:      none, it may be sent twice.
-- Parameters: $1 queue, $2 day.
-- Zero rows:  normal.
-- Index:      trimmed_day_pkey; the table has one row for each day and queue at most.
WITH old AS (
    DELETE FROM leasehold.trimmed_day t
    WHERE to_regclass('leasehold.history_' || to_char(t.day, 'YYYY_MM_DD')) IS NULL
)
INSERT INTO leasehold.trimmed_day (queue, day) VALUES ($1, $2::date) ON CONFLICT DO NOTHING
