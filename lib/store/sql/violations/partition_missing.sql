-- partition_missing: today and tomorrow have a partition of history; the reaper creates partitions days ahead. Except a day of
-- which the default partition holds more than 10,000 jobs (see make_partition).
-- Index: none, it reads the catalog.
SELECT NULL::uuid AS id, format('history has no partition for %s', d.day) AS detail
FROM (SELECT (now() AT TIME ZONE 'UTC')::date + ahead AS day FROM generate_series(0, 1) AS ahead) d
WHERE NOT EXISTS (
    SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = to_regclass('leasehold.history') AND c.relname = 'history_' || to_char(d.day, 'YYYY_MM_DD'))
  AND (SELECT count(*) FROM (
          SELECT FROM leasehold.history_default h
          WHERE (h.finished_at AT TIME ZONE 'UTC')::date = d.day LIMIT 10001) first_ones) <= 10000
