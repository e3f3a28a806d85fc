-- unique_key_twice: a unique key has at most one live job; with the rule keep_last, it has at most one job that has begun
-- and one that has not.
-- Index: none used on purpose (`|| ''`): if job_unique_key or job_begun_key is damaged, the check must not use it.
SELECT (array_agg(j.id ORDER BY j.id))[1] AS id,
       format('unique key %L has %s live jobs', j.unique_key || '', count(*)) AS detail
FROM leasehold.job j
WHERE j.unique_key IS NOT NULL
GROUP BY j.unique_key || '' HAVING count(*) > 1
UNION ALL
SELECT (array_agg(j.id ORDER BY j.id))[1],
       format('unique key %L has %s live jobs that have begun', j.begun_key || '', count(*))
FROM leasehold.job j
WHERE j.begun_key IS NOT NULL AND j.unique_rule = 'keep_last'
GROUP BY j.begun_key || '' HAVING count(*) > 1
LIMIT 100
