-- encryption_keys: how many values each key has encrypted, by the place where the values are stored; and how many values in the
-- queues that take encrypted payloads are not encrypted.
--
-- Guard:      none, it only reads.
-- Parameters: none.
-- Zero rows:  nothing is encrypted, and no queue takes encrypted payloads.
-- Index:      none: reads all jobs, live and finished. For operators.
-- Key:        lib/encryption defines the form of an encrypted value: the name of the key is the first string after the version.
WITH value(place, queue, json) AS (
    SELECT 'live', j.queue::text, j.payload::text FROM leasehold.job j
    UNION ALL
    SELECT 'finished', h.queue, h.payload::text FROM leasehold.history h
    UNION ALL
    SELECT 'results', h.queue, h.result::text FROM leasehold.history h WHERE h.result IS NOT NULL
    UNION ALL
    SELECT 'schedules', s.queue::text, s.payload::text FROM leasehold.schedule s
    UNION ALL
    SELECT 'results', d.queue, d.text FROM leasehold.deferred_settle d WHERE d.verb = 'complete' AND d.text IS NOT NULL
)
SELECT substring(v.json FROM '^\{"\$encrypted":\{"v":[0-9]+,"key":"([A-Za-z0-9_-]+)"') AS key, v.place, count(*) AS count
FROM value v
WHERE starts_with(v.json, '{"$encrypted":{"v":') OR v.queue IN (SELECT q.name::text FROM leasehold.queue q WHERE q.encrypted)
GROUP BY 1, 2
ORDER BY 1 NULLS LAST, 2
