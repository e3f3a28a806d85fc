-- planning: how this connection plans; and whether the server has a limit for whole transactions, which came with
-- PostgreSQL 17.
--
-- Guard:      none, it reads.
-- Parameters: none; sent without a prepared statement, since a pooler may be in between that nobody told us of.
-- Zero rows:  cannot be.
-- Index:      none.
SELECT current_setting('plan_cache_mode') AS plan_cache_mode, current_setting('enable_seqscan') AS enable_seqscan,
       current_setting('jit') AS jit, current_setting('transaction_timeout', true) IS NOT NULL AS limits_transactions
