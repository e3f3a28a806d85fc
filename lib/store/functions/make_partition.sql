-- make_partition: makes the partition of history for a day (UTC), and moves the rows that the default partition holds of that
-- day into it.
--
-- Guard:      one caller at a time (a lock for the transaction). One short transaction, which gives up after a moment rather
--             than let everybody who reads or writes history queue up behind it. Any number of callers may try.
-- Parameters: the day.
-- Answer:     'made' with the number of rows moved; 'exists'; 'full' for a day of which the default partition holds many
--             rows; or 'busy' when somebody else makes a partition or the lock was not to be had: nothing was changed then,
--             and the next call tries again.
-- Full:       to move that many rows would lock out everybody who ends a job for as long as it takes. The rows stay in the
--             default partition and are found there like all others; when they are old enough they are deleted in batches
--             instead of being dropped with their partition.
-- Rights:     of the owner: only the owner of a table may make partitions of it.
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
    -- Some 10,000 rows are moved in a quarter of a second.
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
    -- Again, now that nobody else makes one. The lock on the table makes this connection hear of those made meanwhile: without,
    -- it may go by what it knew before.
    LOCK TABLE leasehold.history IN SHARE UPDATE EXCLUSIVE MODE;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    -- Nothing may land in the default partition between the move and the attaching.
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
