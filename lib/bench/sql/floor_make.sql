-- floor_make: the table of the floor, empty. Three columns of time and one of state, as much as a queue must keep; half
-- of each page is free, so that both updates of a row find room beside it and leave the index alone.
--
-- Guard:      none: what an earlier run left behind is dropped.
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
