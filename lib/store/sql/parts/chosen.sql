-- chosen: the jobs that a filter chooses. All conditions must hold; NULL means: any.
--
-- Takes:      queue = $1; kind = $2; states = $3; until = $4; error = $5; batch = $6
-- From:       rows of leasehold.job or leasehold.history, as `j`; queue; kind; states: an array of names; until: the job was
--             enqueued at this time or before; error: a pattern for the last error, in which a
--             backslash is a backslash; batch.
-- Plan:       a filter on rows that are found in the order of an index. The state is compared as text; otherwise the planner may
--             scan the index of one state. For the same reason the batch is compared in a form that no index has.
($queue::text IS NULL OR j.queue::text = $queue::text)
AND ($kind::text IS NULL OR j.kind::text = $kind::text)
AND j.state::text = ANY ($states::text[])
AND j.created_at <= $until::timestamptz
AND ($error::text IS NULL OR j.last_error ILIKE $error::text ESCAPE '')
AND ($batch::text IS NULL OR coalesce(j.batch, '') = $batch::text)
