-- no-transaction
-- What a list of jobs needs to begin with the newest, at no cost for an ordinary job.
--
-- An ordinary id is a UUIDv7: it says when it was made, which is when its job was enqueued, but for two seconds. The
-- primary keys have those in order already. The others (an id made from something else, a clock that is wrong, a long
-- transaction) have an entry in an index of their own.
--
-- Steps: see lib/store/src/migrate/steps.rs.

-- step
CREATE OR REPLACE FUNCTION leasehold.is_off_clock(id uuid, created_at timestamptz) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    -- date_part of an interval, since that of a timestamptz may depend on the time zone.
    SELECT CASE WHEN isfinite(created_at)
        THEN abs(('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint
                 - (date_part('epoch', created_at - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint) > 2000
        ELSE true END
$$;

-- The lowest id that says this time or a later one.
CREATE OR REPLACE FUNCTION leasehold.first_id_at(at timestamptz) RETURNS uuid
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT rpad(encode(int8send((date_part('epoch', least(greatest(at, timestamptz '1970-01-01 00:00:00+00'),
                                                          timestamptz '6000-01-01 00:00:00+00')
                                            - timestamptz '1970-01-01 00:00:00+00') * 1000)::bigint << 16), 'hex'), 32, '0')::uuid
$$;

-- When an id was made, as it says itself. An id that is no UUIDv7 says nothing: it is taken for older than all.
CREATE OR REPLACE FUNCTION leasehold.time_of_id(id uuid) RETURNS timestamptz
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT CASE WHEN get_byte(uuid_send(id), 6) >> 4 = 7
        THEN timestamptz '1970-01-01 00:00:00+00'
             + ('x' || encode(substring(uuid_send(id) FROM 1 FOR 6), 'hex'))::bit(48)::bigint * interval '1 millisecond'
        ELSE timestamptz '-infinity' END
$$;

-- step, if invalid job_off_clock
DROP INDEX CONCURRENTLY leasehold.job_off_clock;

-- Without the running ones, which are few and have job_lease: so a claim need not look at the id.
-- step
CREATE INDEX CONCURRENTLY IF NOT EXISTS job_off_clock
    ON leasehold.job (created_at, id) WHERE state <> 'running' AND leasehold.is_off_clock(id, created_at);

-- step
CREATE INDEX IF NOT EXISTS history_off_clock
    ON ONLY leasehold.history (created_at, id) WHERE leasehold.is_off_clock(id, created_at);

-- step, for partitions without history_off_clock, if invalid $PARTITION_off_clock
DROP INDEX CONCURRENTLY leasehold.$PARTITION_off_clock;

-- step, for partitions without history_off_clock
CREATE INDEX CONCURRENTLY IF NOT EXISTS $PARTITION_off_clock
    ON leasehold.$PARTITION (created_at, id) WHERE leasehold.is_off_clock(id, created_at);

-- step, for partitions without history_off_clock
ALTER INDEX leasehold.history_off_clock ATTACH PARTITION leasehold.$PARTITION_off_clock;

-- What operators list: the few that did not succeed, whatever their ids. Costs nothing for those that did.
-- step
CREATE INDEX IF NOT EXISTS history_ended_badly
    ON ONLY leasehold.history (state, created_at, id) WHERE state <> 'succeeded';

-- step, for partitions without history_ended_badly, if invalid $PARTITION_ended_badly
DROP INDEX CONCURRENTLY leasehold.$PARTITION_ended_badly;

-- step, for partitions without history_ended_badly
CREATE INDEX CONCURRENTLY IF NOT EXISTS $PARTITION_ended_badly
    ON leasehold.$PARTITION (state, created_at, id) WHERE state <> 'succeeded';

-- step, for partitions without history_ended_badly
ALTER INDEX leasehold.history_ended_badly ATTACH PARTITION leasehold.$PARTITION_ended_badly;

-- The one before was in the order of ids.
-- step
DROP INDEX IF EXISTS leasehold.history_unsuccessful;
