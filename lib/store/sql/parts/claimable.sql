-- claimable: the jobs that may be claimed: queued, not parked in the lane of its fair key, of a kind that
-- has a handler in the worker, and paused neither with their queue
-- nor with their kind. The statements that claim by id contain this text, and so does `look`, which says why a job was not
-- claimed. Limits belong here.
--
-- Takes:      kinds = $3; queue
-- From:       rows of leasehold.job, as `j`; kinds: an array of names, or NULL for every kind; queue: as in not_paused.
-- Plan:       a filter on rows that are found by id. The state is compared as text; otherwise the planner may scan all of
--             job_line_at to find one id. claim_line scans job_line_at and has the same conditions on the columns of that index.
j.state::text = 'queued' AND j.fair_at IS NULL
AND ($kinds::text[] IS NULL OR j.kind::text = ANY ($kinds::text[]))
AND j.queue::text <> ALL (ARRAY(SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL))
AND
-- include not_paused: queue = $queue
AND
-- include may_begin
