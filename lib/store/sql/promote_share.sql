-- promote_share: scheduled → queued, for a few due jobs of each of some queues. While thousands of jobs of one queue are due,
-- this statement promotes the jobs of the other queues.
--
-- Guard:      the row is scheduled and due. A row that another session has locked is skipped.
-- Parameters: $1 limit for each queue, $2 the queue after which the statement begins, $3 the number of queues to examine.
-- Answer:     a row for each job, as promote. The last row has the last queue that the statement has read, or NULL if there was
--             no queue. Its `queues_seen` is the number of queues that the statement has read.
-- Zero rows:  never.
-- Index:      job_due_in_queue, one probe and one short range for each queue; then job_pkey. The condition on the state has the
--             same text as in the index.
WITH RECURSIVE queues(name, nth) AS (
    (SELECT j.queue::text, 1 FROM leasehold.job j
     WHERE j.state >= 'scheduled' AND j.state <= 'scheduled' AND octet_length(j.queue::text) > 0
       AND j.queue > $2::text ORDER BY j.queue LIMIT 1)
    UNION ALL
    SELECT next.queue, q.nth + 1
    FROM queues q
    CROSS JOIN LATERAL (
        (SELECT j.queue::text FROM leasehold.job j
         WHERE j.state >= 'scheduled' AND j.state <= 'scheduled' AND octet_length(j.queue::text) > 0
           AND j.queue > q.name ORDER BY j.queue LIMIT 1)
    ) next
    WHERE q.nth < $3::bigint
), target AS MATERIALIZED (
    SELECT due.id FROM queues q
    CROSS JOIN LATERAL (
        SELECT j.id FROM leasehold.job j
        WHERE j.state >= 'scheduled' AND j.state <= 'scheduled' AND octet_length(j.queue::text) > 0
          AND j.queue = q.name AND j.run_at <= now()
        ORDER BY j.queue, j.run_at LIMIT $1::bigint
        FOR UPDATE SKIP LOCKED
    ) due
),
-- include promoted: last = queues_seen
UNION ALL
SELECT NULL, max(q.name), NULL, NULL, count(*), NULL, NULL FROM queues q
