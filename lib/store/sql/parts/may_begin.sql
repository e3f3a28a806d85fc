-- may_begin: the jobs in the line whose own fields allow them to begin now. Neither its expiry nor the end of its
-- time for retries has passed, and, if only one job with its unique key may run, no other job with this key has begun.
--
-- From:       rows of leasehold.job, as `j`.
-- Race:       a job with the same key can be enqueued only after the claim of the other job has committed, because the claim moves
--             the key from one unique index to another one. So a claim that sees the later job also sees that the other job has
--             begun.
-- Plan:       a plain job has none of these columns, and costs two comparisons with NULL. The subquery is a scalar one, because
--             an EXISTS may be planned as a scan of the whole index.
-- Index:      job_begun_key, but only for jobs with the rule keep_last.
coalesce(least(j.expires_at, j.retry_until), 'infinity') > now()
AND CASE WHEN j.unique_rule = 'keep_last' AND j.begun_key IS NULL THEN
        (SELECT b.id FROM leasehold.job b
         WHERE b.begun_key = j.unique_key AND b.unique_rule = 'keep_last' LIMIT 1) IS NULL
    ELSE true END
