-- encrypted_among: the live jobs among these whose payloads are encrypted. Their results must be encrypted too.
--
-- Guard:      none, it only reads.
-- Parameters: $1 ids.
-- Zero rows:  no live job among these has an encrypted payload.
-- Index:      job_pkey.
SELECT j.id FROM leasehold.job j WHERE j.id = ANY ($1::uuid[]) AND starts_with(j.payload::text, '{"$encrypted":{"v":')
