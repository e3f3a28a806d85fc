-- queues_in_line: which of some queues have a queued job, whether or not it can be claimed now. A worker with many queues and
-- without hints sends this statement once, instead of one statement for each queue.
--
-- Guard:      none, it only reads.
-- Parameters: $1 queues.
-- Zero rows:  no queue of these has a queued job.
-- Index:      job_line_at, one probe for each queue.
SELECT q.name
FROM unnest($1::text[]) AS q(name)
CROSS JOIN LATERAL (SELECT FROM leasehold.job j WHERE j.state = 'queued' AND j.queue = q.name LIMIT 1) first
