-- The partitions of `history`: made ahead of time, dropped when their jobs are old enough.
--
-- Each call does one small thing, in one short transaction, and gives up after a moment rather than
-- let everybody who reads or writes history queue up behind it. Any number of callers may be at it.

-- Makes the partition of a day (UTC), and moves what the default partition holds of that day into it.
-- Answers 'made' with the rows moved, 'exists', or 'busy' when somebody else is at it or the lock was
-- not to be had: nothing was changed then, and the next call tries again.
CREATE FUNCTION leasehold.make_partition(day date, OUT answer text, OUT moved bigint)
LANGUAGE plpgsql SET lock_timeout = '250ms' SET timezone = 'UTC' AS $$
DECLARE
    partition text := 'history_' || to_char(day, 'YYYY_MM_DD');
BEGIN
    moved := 0;
    IF to_regclass('leasehold.' || partition) IS NOT NULL THEN
        answer := 'exists';
        RETURN;
    END IF;
    IF NOT pg_try_advisory_xact_lock(hashtextextended('leasehold.history', 0)) THEN
        answer := 'busy';
        RETURN;
    END IF;
    -- Again, now that nobody else makes one.
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

-- Drops the oldest partition whose newest possible row is older than `keep`, one a call. Answers its
-- name, or NULL when there is none or the lock was not to be had.
CREATE FUNCTION leasehold.drop_partition(keep interval) RETURNS text
LANGUAGE plpgsql SET lock_timeout = '250ms' SET timezone = 'UTC' AS $$
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

-- The first days, so that jobs finished before a reaper's first look need not be moved.
DO $$
BEGIN
    PERFORM leasehold.make_partition((now() AT TIME ZONE 'UTC')::date + ahead) FROM generate_series(0, 3) AS ahead;
END
$$;
