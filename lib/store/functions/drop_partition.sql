-- drop_partition: drops the oldest partition of history whose newest possible row is older than `keep`. Each call drops one
-- partition.
--
-- Guard:      one caller at a time (a lock for the transaction). The call gives up after a moment, because readers and
--             writers of history would wait behind its lock.
-- Parameters: how long finished jobs are kept.
-- Answer:     the name of the partition, or NULL if there is none to drop or the lock was not free.
-- Rights:     of the owner: only the owner of a table may drop its partitions.
CREATE OR REPLACE FUNCTION leasehold.drop_partition(keep interval) RETURNS text
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' SET timezone = 'UTC' AS $$
DECLARE
    partition text;
BEGIN
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.history', 0)) THEN RETURN NULL; END IF;
    SELECT c.relname INTO partition
    FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'leasehold.history'::regclass AND c.relname ~ '^history_\d{4}_\d{2}_\d{2}$'
      AND (to_date(substr(c.relname, 9), 'YYYY_MM_DD') + 1)::timestamptz <= now() - keep
    ORDER BY c.relname LIMIT 1;
    IF FOUND THEN
        EXECUTE format('DROP TABLE leasehold.%I', partition);
    END IF;
    RETURN partition;
EXCEPTION WHEN lock_not_available THEN
    RETURN NULL;
END
$$;
