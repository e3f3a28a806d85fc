-- http_drained: which of these HTTP workers get no more jobs.
--
-- Guard:      none, it only reads.
-- Parameters: $1 workers.
-- Zero rows:  no worker of these was drained.
-- Index:      http_drain_pkey.
SELECT d.worker FROM leasehold.http_drain d WHERE d.worker = ANY ($1::uuid[])
