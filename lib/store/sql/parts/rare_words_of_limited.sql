-- rare_words_of_limited: the rare fields of a job that leasehold.claim_limited has claimed; see rare_words.
--
-- From:       rows of the function, as `c`.
-- Index:      trace_pkey, only for a job with a trace: it has a value in `retry`.
json_build_object(
    'retry', c.retry::json, 'retry_ms_left', c.retry_ms_left, 'has_parents', c.has_parents, 'is_fair', c.is_fair,
    'traceparent', CASE WHEN c.retry IS NOT NULL THEN (SELECT t.traceparent FROM leasehold.trace t WHERE t.job = c.id) END)::text
