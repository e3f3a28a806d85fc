-- default_partition_used: finished jobs lie in the partition of their day; when there was none, in the default one,
-- from where the reaper moves them. Days of more than 10,000 jobs stay there (see make_partition).
-- Index: none; the default partition is empty but for accidents.
SELECT NULL::uuid AS id,
       format('%s finished jobs lie in the default partition, from %s to %s', sum(d.count), min(d.first), max(d.last)) AS detail
FROM (
    SELECT count(*) AS count, min(d.finished_at) AS first, max(d.finished_at) AS last
    FROM leasehold.history_default d
    GROUP BY (d.finished_at AT TIME ZONE 'UTC')::date
    HAVING count(*) <= 10000
) d
HAVING count(*) > 0
