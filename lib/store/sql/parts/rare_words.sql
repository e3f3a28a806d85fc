-- rare_words: the fields of a run that most jobs do not have, as the text of a JSON object. NULL for a job that has no retry
-- policy, no parents, no fair key and no trace.
--
-- From:       rows of leasehold.job, as `j`.
-- Index:      trace_pkey, only for a job with a trace: it has a value in `retry`.
-- Cost:       one column instead of five. Each column of each row is formed, sent and read.
CASE WHEN num_nonnulls(j.retry, j.retry_until, j.unmet, j.fair_key) > 0 THEN json_build_object(
    'retry', j.retry, 'retry_ms_left', (extract(epoch FROM j.retry_until - now()) * 1000)::bigint,
    'has_parents', j.unmet IS NOT NULL, 'is_fair', j.fair_key IS NOT NULL,
    'traceparent', CASE WHEN j.retry IS NOT NULL THEN (SELECT t.traceparent FROM leasehold.trace t WHERE t.job = j.id) END)::text END
