-- make_partition: makes the partition of history for a day (UTC), and moves the rows of this day from the default partition
-- into the new partition.
--
-- Guard:      one caller at a time (a lock for the transaction). Any number of callers may try. The transaction is short
--             and gives up after a moment, because readers and writers of history would wait behind its locks.
-- Parameters: the day.
-- Answer:     'made' with the number of moved rows; 'exists'; 'full' if the default partition has many rows of the day;
--             'busy' if another caller makes a partition or a lock was not free. After 'busy' nothing has changed, and the
--             next call tries again.
-- Full:       moving so many rows would block every settle for a long time. The rows stay in the default partition, where
--             queries find them like all other rows. When they are old enough, they are deleted in batches, because there
--             is no partition to drop.
-- Rights:     of the owner: only the owner of a table may make its partitions.
CREATE OR REPLACE FUNCTION leasehold.make_partition(day date, OUT answer text, OUT moved bigint)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '250ms' SET timezone = 'UTC' AS $$
DECLARE
    partition text := 'history_' || to_char(day, 'YYYY_MM_DD');
BEGIN
    moved := 0;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    -- To move 10,000 rows takes a quarter of a second.
    IF (SELECT count(*) FROM (
            SELECT FROM leasehold.history_default d
            WHERE d.finished_at >= day::timestamptz AND d.finished_at < (day + 1)::timestamptz
            LIMIT 10001) first_ones) > 10000 THEN
        answer := 'full';
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.history', 0)) THEN
        answer := 'busy';
        RETURN;
    END IF;
    -- Check again, now that no other caller makes a partition. The lock on the table makes this connection read the current
    -- partitions. Without the lock, the connection may use its cache.
    LOCK TABLE leasehold.history IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    -- No session may insert into the default partition between the move and ATTACH PARTITION.
    LOCK TABLE leasehold.history_default IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('CREATE TABLE leasehold.%I (LIKE leasehold.history INCLUDING ALL)', partition);
    EXECUTE format('WITH moved AS (DELETE FROM leasehold.history_default WHERE finished_at >= %1$L AND finished_at < %2$L RETURNING *)
                    INSERT INTO leasehold.%3$I SELECT * FROM moved', day::timestamptz, (day + 1)::timestamptz, partition);
    GET DIAGNOSTICS moved = ROW_COUNT;
    EXECUTE format('ALTER TABLE leasehold.history ATTACH PARTITION leasehold.%I FOR VALUES FROM (%L) TO (%L)',
                   partition, day::timestamptz, (day + 1)::timestamptz);
    answer := 'made';
EXCEPTION WHEN lock_not_available THEN
    answer := 'busy';
    moved := 0;
END
$$;
