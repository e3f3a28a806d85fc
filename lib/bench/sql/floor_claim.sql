-- floor_claim: claims rows by their ids.
--
-- Guard:      none: no other session has these ids.
-- Parameters: $1 ids. Index: the primary key.
UPDATE leasehold_floor.job SET state = 1, claimed_at = now() WHERE id = ANY ($1::bigint[])
