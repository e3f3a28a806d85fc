-- constraint_missing: the CHECKs that refuse illegal rows exist and are valid.
-- Index: none, it reads the catalog.
SELECT NULL::uuid AS id,
       format('constraint %s of %s %s', e.name, e.owner, CASE WHEN c.oid IS NULL THEN 'is missing' ELSE 'is not validated' END) AS detail
FROM (VALUES
    ('job', 'job_pkey'),
    ('job', 'live_jobs_only'),
    ('job', 'worker_exactly_while_running'),
    ('job', 'lease_exactly_while_running'),
    ('job', 'cancel_wanted_only_while_running'),
    ('job', 'running_was_claimed'),
    ('job', 'attempts_within_limit'),
    ('job', 'waiting_has_an_attempt_left'),
    ('job', 'crashes_within_limit'),
    ('job', 'attempts_never_pass_claims'),
    ('job', 'max_attempts_is_from_1_to_10000'),
    ('job', 'timeout_is_positive'),
    ('history', 'history_pkey'),
    ('history', 'finished_jobs_only'),
    ('history', 'success_was_claimed_by_a_worker'),
    ('history', 'result_only_of_success'),
    ('queue', 'queue_pkey'),
    ('queue', 'priority_step_is_from_0_to_60_years'),
    ('queue', 'dead_letter_is_another_queue'),
    ('queue', 'keep_days_is_from_1_to_36500'),
    ('dead_letter', 'dead_letter_pkey'),
    ('trimmed_day', 'trimmed_day_pkey'),
    ('schedule', 'schedule_has_cron_or_every'),
    ('schedule', 'timezone_exactly_with_cron'),
    ('schedule', 'cron_is_1_to_200_bytes'),
    ('schedule', 'every_is_from_1_s_to_10_years'),
    ('schedule', 'missed_limit_is_from_0_to_500'),
    ('schedule', 'next_tick_exactly_unless_paused'),
    ('schedule', 'schedule_max_attempts_is_from_1_to_10000'),
    ('schedule', 'schedule_timeout_is_up_to_24_days'),
    ('schedule', 'schedule_expires_in_is_up_to_100_years'),
    ('schedule_tick', 'schedule_tick_pkey'),
    ('edge', 'edge_pkey'),
    ('edge', 'no_job_is_its_own_parent'),
    ('edge_count', 'edge_count_pkey'),
    ('edge_count', 'shard_is_from_0_to_31'),
    ('edge_count', 'unmet_is_not_negative'),
    ('ended_parent', 'ended_parent_pkey'),
    ('ended_parent', 'ended_parent_has_ended'),
    ('unique_period', 'unique_period_pkey'),
    ('batch', 'batch_pkey'),
    ('batch', 'only_a_sealed_batch_is_complete'),
    ('batch', 'only_a_complete_batch_has_callbacks'),
    ('name', 'name_is_1_to_128_of_its_alphabet'),
    ('key', 'key_is_1_to_512_bytes'),
    ('payload', 'payload_is_at_most_1_mib'),
    ('priority', 'priority_is_from_minus_100_to_100')
) AS e(owner, name)
LEFT JOIN pg_constraint c
    ON c.conname = e.name AND c.connamespace = to_regnamespace('leasehold')
    AND (c.conrelid = to_regclass('leasehold.' || e.owner) OR c.contypid = to_regtype('leasehold.' || e.owner))
WHERE c.oid IS NULL OR NOT c.convalidated
ORDER BY e.owner, e.name
