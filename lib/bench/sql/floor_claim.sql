-- floor_claim: rows by their ids.
--
-- Guard:      none: nobody else has these ids.
-- Parameters: $1 ids. Index: the primary key.
UPDATE leasehold_floor.job SET state = 1, claimed_at = now() WHERE id = ANY ($1::bigint[])
