-- claimable: what may be claimed: a job that is queued, of a kind that the worker has a handler for, of no paused queue. The
-- statements that claim by id and `look`, which says why a job was not claimed, have this one text. Limits go in here.
--
-- Takes:      kinds = $3
-- From:       rows of leasehold.job, as `j`; kinds: an array of names, or NULL for every kind.
-- Plan:       a filter on rows that are found by id. The state is compared as text: or the planner may walk all of job_line_at to
--             find one id. claim_line walks job_line_at, and says the same by the columns of that index.
j.state::text = 'queued'
AND ($kinds::text[] IS NULL OR j.kind::text = ANY ($kinds::text[]))
AND j.queue::text <> ALL (ARRAY(SELECT q.name::text FROM leasehold.queue q WHERE q.paused_at IS NOT NULL))
