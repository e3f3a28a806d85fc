-- no-transaction
-- A job remembers whether its id holds the time of its enqueue, so that no index has to compute it again at each insert. See
-- docs/adr/0015-lists-begin-with-the-newest-job.md.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- TRUE: the id holds the time of the enqueue, accurate to two seconds. FALSE or NULL: nobody has checked, or it does not; then
-- leasehold.is_off_clock says it. `leasehold.job` inherits the column.
-- step
ALTER TABLE leasehold.job_noted ADD COLUMN IF NOT EXISTS on_clock boolean;

-- step
ALTER TABLE leasehold.history ADD COLUMN IF NOT EXISTS on_clock boolean;

-- step, if invalid job_not_on_clock
DROP INDEX CONCURRENTLY leasehold.job_not_on_clock;

-- The order of the conditions is the order in which PostgreSQL checks them: the function, which costs a microsecond, comes last.
-- Running jobs are few and have job_lease.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_not_on_clock
    ON leasehold.job (created_at, id) WHERE on_clock IS NOT TRUE AND state <> 'running' AND leasehold.is_off_clock(id, created_at);

-- step
CREATE INDEX IF NOT EXISTS history_not_on_clock
    ON ONLY leasehold.history (created_at, id) WHERE on_clock IS NOT TRUE AND leasehold.is_off_clock(id, created_at);

-- step, for partitions without history_not_on_clock, if invalid $PARTITION_not_on_clock
DROP INDEX CONCURRENTLY leasehold.$PARTITION_not_on_clock;

-- step, for partitions without history_not_on_clock
CREATE INDEX CONCURRENTLY IF NOT EXISTS $PARTITION_not_on_clock
    ON leasehold.$PARTITION (created_at, id) WHERE on_clock IS NOT TRUE AND leasehold.is_off_clock(id, created_at);

-- step, for partitions without history_not_on_clock
ALTER INDEX leasehold.history_not_on_clock ATTACH PARTITION leasehold.$PARTITION_not_on_clock;

-- step
DROP INDEX CONCURRENTLY IF EXISTS leasehold.job_off_clock;

-- step
DROP INDEX IF EXISTS leasehold.history_off_clock;

-- Every role that may enqueue calls this function, which reads nothing.
-- step
GRANT EXECUTE ON FUNCTION leasehold.first_id_at(timestamptz) TO PUBLIC;

-- An earlier program lists jobs without these indexes: the list of a large table takes long. Its `doctor` reports that job_off_clock and
-- history_off_clock are missing: they should stay away. All else that it does is right, and as fast as before.
-- step
INSERT INTO leasehold.works_with (migration, programs_from) VALUES (41, 37) ON CONFLICT DO NOTHING;
