-- planning: the planner settings of this connection, and whether the server supports transaction_timeout, which is new in
-- PostgreSQL 17.
--
-- Guard:      none, it only reads.
-- Parameters: none; sent without a prepared statement, because there may be a pooler that the settings do not mention.
-- Zero rows:  impossible.
-- Index:      none.
SELECT current_setting('plan_cache_mode') AS plan_cache_mode, current_setting('enable_seqscan') AS enable_seqscan,
       current_setting('jit') AS jit, current_setting('transaction_timeout', true) IS NOT NULL AS limits_transactions
