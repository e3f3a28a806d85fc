-- migration_partitions: the partitions of history that do not have their part of an index yet.
--
-- Guard:      none, it only reads the catalog.
-- Parameters: $1 the name of the index on history.
SELECT c.relname::text AS partition
FROM pg_inherits i
JOIN pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = to_regclass('leasehold.history') AND c.relname ~ '^[a-z0-9_]+$'
  AND NOT EXISTS (
      SELECT FROM pg_inherits p JOIN pg_index x ON x.indexrelid = p.inhrelid
      WHERE p.inhparent = to_regclass('leasehold.' || $1) AND x.indrelid = c.oid)
ORDER BY c.relname
