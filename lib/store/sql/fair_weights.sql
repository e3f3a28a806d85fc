-- fair_weights: the weights of a queue that somebody has set, by key. Changes that have committed count already.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queue.
-- Zero rows:  all keys have the weight 1.
-- Index:      fair_weight_pkey, fair_weight_change_pkey.
WITH change AS MATERIALIZED (
    SELECT DISTINCT ON (c.fair_key) c.fair_key, c.weight FROM leasehold.fair_weight_change c WHERE c.queue = $1
    ORDER BY c.fair_key, c.since DESC
)
SELECT w.fair_key::text AS fair_key, w.weight FROM leasehold.fair_weight w
WHERE w.queue = $1 AND NOT EXISTS (SELECT FROM change c WHERE c.fair_key = w.fair_key)
UNION ALL
SELECT c.fair_key::text, c.weight FROM change c WHERE c.weight <> 1
ORDER BY fair_key
