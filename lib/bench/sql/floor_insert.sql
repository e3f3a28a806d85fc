-- floor_insert: inserts a row for each payload.
--
-- Parameters: $1 payloads.
INSERT INTO leasehold_floor.job (payload) SELECT given.payload FROM unnest($1::text[]) AS given(payload) RETURNING id
