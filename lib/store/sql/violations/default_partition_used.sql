-- default_partition_used: each finished job is in the partition of its day. If that partition did not exist, the job is in the
-- default partition, and the reaper moves it. Days of more than 10,000 jobs stay there (see make_partition).
-- Index: none; the default partition is normally empty.
SELECT NULL::uuid AS id,
       format('%s finished jobs lie in the default partition, from %s to %s', sum(d.count), min(d.first), max(d.last)) AS detail
FROM (
    SELECT count(*) AS count, min(d.finished_at) AS first, max(d.finished_at) AS last
    FROM leasehold.history_default d
    GROUP BY (d.finished_at AT TIME ZONE 'UTC')::date
    HAVING count(*) <= 10000
) d
HAVING count(*) > 0
