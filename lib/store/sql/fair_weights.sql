-- fair_weights: the weights of a queue that somebody has set, by key.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue.
-- Zero rows:  all keys have the weight 1.
-- Index:      fair_weight_pkey.
SELECT w.fair_key::text AS fair_key, w.weight FROM leasehold.fair_weight w WHERE w.queue = $1 ORDER BY w.fair_key
