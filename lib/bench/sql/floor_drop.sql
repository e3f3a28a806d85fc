-- floor_drop: nothing of the floor is left behind.
DROP SCHEMA IF EXISTS leasehold_floor CASCADE
