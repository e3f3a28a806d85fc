-- floor_drop: drops everything of the floor.
DROP SCHEMA IF EXISTS leasehold_floor CASCADE
