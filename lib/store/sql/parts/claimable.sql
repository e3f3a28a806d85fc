-- claimable: the jobs that may be claimed: queued, of a kind that has a handler in the worker, and paused neither with their queue nor
-- with their kind. A job with a fair key is not parked in its lane, and its key is not paused. The statements that claim by id contain
-- this text, and so does `look`, which says why a job was not claimed. `claim`, for plain jobs, and `claim_line` have the same
-- conditions in another form, which costs less; a test compares them with `look`. Limits belong here.
--
-- Takes:      kinds = $3; queue
-- From:       rows of leasehold.job, as `j`; kinds: an array of names, or NULL for every kind; queue: the queue of the hints, which is the
--             queue of each job that is claimed.
-- Plan:       a filter on rows that are found by id. The state is compared as text; otherwise the planner may scan all of
--             job_line_at to find one id. claim_line scans job_line_at and has the same conditions on the columns of that index.
--             The arrays are read once for each statement, and are empty for most queues. A correlated subquery beside one, for each job
--             or only if the array is not empty, would make each claim measurably slower.
--             A plain job costs one count of columns instead of the conditions in the parentheses. Each step of an expression
--             that PostgreSQL evaluates reads one cache line of the processor.
-- Index:      pause_pkey.
j.state::text = 'queued'
AND ($kinds::text[] IS NULL OR j.kind::text = ANY ($kinds::text[]))
AND j.queue::text <> ALL (ARRAY(SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL))
AND j.kind::text <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'kind'))
AND (num_nonnulls(j.fair_key, j.expires_at, j.retry_until, j.unique_rule) = 0
     OR j.fair_at IS NULL
        AND (j.fair_key IS NULL
             OR j.fair_key <> ALL (ARRAY(SELECT p.name FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'fair_key')))
        AND
        -- include may_begin
    )
