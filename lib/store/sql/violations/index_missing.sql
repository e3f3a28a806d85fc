-- index_missing: the indexes that statements need exist, are valid, and (where it matters) are unique.
-- Index: none, it reads the catalog.
SELECT NULL::uuid AS id,
       format('index %s of %s %s', e.name, e.owner,
              CASE WHEN i.indexrelid IS NULL THEN 'is missing'
                   WHEN NOT i.indisvalid OR NOT i.indisready THEN 'is not valid'
                   ELSE 'is not unique' END) AS detail
FROM (VALUES
    ('job', 'job_pkey', true),
    ('job', 'job_line_at', false),
    ('job', 'job_due', false),
    ('job', 'job_due_in_queue', false),
    ('job', 'job_blocked', false),
    ('job', 'job_lease', false),
    ('job', 'job_cancel_wanted', false),
    ('job', 'job_in_danger', false),
    ('job', 'job_unique_key', true),
    ('job', 'job_begun_key', true),
    ('job', 'job_overdue', false),
    ('job', 'job_off_clock', false),
    ('job', 'job_by_limit', false),
    ('job', 'job_with_limits', false),
    ('key_limit', 'key_limit_pkey', true),
    ('key_limit', 'key_limit_pattern', false),
    ('limit_change', 'limit_change_pkey', true),
    ('fair_weight_change', 'fair_weight_change_pkey', true),
    ('limit_slot', 'limit_slot_pkey', true),
    ('limit_bucket', 'limit_bucket_pkey', true),
    ('history', 'history_pkey', true),
    ('history', 'history_finished', false),
    ('history', 'history_off_clock', false),
    ('history', 'history_ended_badly', false),
    ('queue', 'queue_pkey', true),
    ('dead_letter', 'dead_letter_pkey', true),
    ('dead_letter', 'dead_letter_died', false),
    ('trimmed_day', 'trimmed_day_pkey', true),
    ('schedule', 'schedule_pkey', true),
    ('schedule', 'schedule_due', false),
    ('schedule_tick', 'schedule_tick_pkey', true),
    ('edge', 'edge_pkey', true),
    ('edge', 'edge_parent', false),
    ('edge', 'edge_created', false),
    ('edge_count', 'edge_count_pkey', true),
    ('ended_parent', 'ended_parent_pkey', true),
    ('unique_period', 'unique_period_pkey', true),
    ('job', 'job_batch', false),
    ('history', 'history_batch', false),
    ('batch', 'batch_pkey', true),
    ('batch', 'batch_awaited', false),
    ('batch', 'batch_created', false)
) AS e(owner, name, is_unique)
LEFT JOIN pg_index i
    ON i.indexrelid = to_regclass('leasehold.' || e.name) AND i.indrelid = to_regclass('leasehold.' || e.owner)
WHERE i.indexrelid IS NULL OR NOT i.indisvalid OR NOT i.indisready OR (e.is_unique AND NOT i.indisunique)
ORDER BY e.owner, e.name
