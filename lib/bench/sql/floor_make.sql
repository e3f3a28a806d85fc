-- floor_make: the empty table of the floor. It has three time columns and one state column, which is the minimum for
-- a queue. Half of each page is free, so that both updates of a row stay on the row's page and do not touch the
-- index.
--
-- Guard:      none: the leftovers of an earlier run are dropped.
DROP SCHEMA IF EXISTS leasehold_floor CASCADE;
CREATE SCHEMA leasehold_floor;
CREATE TABLE leasehold_floor.job (
    id          bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
    state       smallint NOT NULL DEFAULT 0,
    created_at  timestamptz NOT NULL DEFAULT now(),
    claimed_at  timestamptz,
    finished_at timestamptz,
    payload     text NOT NULL
) WITH (fillfactor = 50)
