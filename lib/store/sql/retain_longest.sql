-- retain_longest: the longest retention of finished jobs that a queue or the fleet asks for, in seconds.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the retention of queues without a setting, in seconds.
-- Zero rows:  never.
-- Index:      none; the table has one row for each queue with a setting.
SELECT greatest($1::bigint, (SELECT max(q.keep_days)::bigint * 86400 FROM leasehold.queue q)) AS longest
