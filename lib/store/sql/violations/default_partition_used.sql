-- default_partition_used: finished jobs lie in the partition of their day; when there was none, in the default one,
-- from where the reaper moves them.
-- Index: none; the default partition is empty but for accidents.
SELECT NULL::uuid AS id,
       format('%s finished jobs lie in the default partition, from %s to %s', count(*), min(d.finished_at), max(d.finished_at)) AS detail
FROM leasehold.history_default d
HAVING count(*) > 0
