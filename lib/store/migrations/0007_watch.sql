-- Until when some reaper knows that PostgreSQL could be reached: one row, which reapers keep up to date while they may expire
-- leases. A reaper that has just started goes by it: if it is recent, no outage can have kept workers from renewing.
CREATE TABLE leasehold.watch (
    one_row boolean PRIMARY KEY DEFAULT true,
    kept_at timestamptz NOT NULL,
    CONSTRAINT watch_has_one_row CHECK (one_row)
) WITH (fillfactor = 10);
