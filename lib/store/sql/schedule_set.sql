-- schedule_set: makes a schedule, or changes the schedule of this name. A paused schedule stays paused. With the same
-- timing, the next tick stays: a program may set its schedules at each start.
--
-- Guard:      the primary key. The last caller wins.
-- Parameters: $1 name, $2 cron or NULL, $3 timezone or NULL, $4 interval in ms or NULL, $5 missed limit, $6 queue, $7 kind,
--             $8 payload (JSON as text), $9 priority, $10 max_attempts, $11 timeout in ms or NULL, $12 unique key or NULL,
--             $13 limit key or NULL, $14 the next tick, $15 retry (JSON as text) or NULL, $16 expires_in in ms or NULL,
--             $17 unique (JSON as text) or NULL, $18 batch or NULL, $19 lock timeout, such as 200ms. After it, the
--             statement fails with lock_not_available (55P03); $20 limit keys or NULL, $21 fair key or NULL,
--             $22 webhook or NULL.
-- Zero rows:  never.
-- Index:      schedule_pkey.
INSERT INTO leasehold.schedule AS s (name, cron, timezone, every_ms, missed_limit, queue, kind, payload, priority,
                                     max_attempts, timeout_ms, unique_key, limit_key, next_at, retry, expires_in_ms,
                                     "unique", batch, limit_keys, fair_key, webhook)
SELECT $1::text, $2::text, $3::text, $4::bigint, $5::smallint, $6::text, $7::text, $8::text::json, $9::smallint,
       $10::integer, $11::integer, $12::text, $13::text, $14::timestamptz, $15::text::jsonb, $16::bigint,
       $17::text::jsonb, $18::text, $20::text[], $21::text, $22::text
WHERE (SELECT set_config('lock_timeout', $19::text, true)) IS NOT NULL
ON CONFLICT (name) DO UPDATE SET
    revision = s.revision + 1, changed_at = now(), last_error = NULL,
    cron = EXCLUDED.cron, timezone = EXCLUDED.timezone, every_ms = EXCLUDED.every_ms, missed_limit = EXCLUDED.missed_limit,
    queue = EXCLUDED.queue, kind = EXCLUDED.kind, payload = EXCLUDED.payload, priority = EXCLUDED.priority,
    max_attempts = EXCLUDED.max_attempts, timeout_ms = EXCLUDED.timeout_ms, unique_key = EXCLUDED.unique_key,
    limit_key = EXCLUDED.limit_key, retry = EXCLUDED.retry, expires_in_ms = EXCLUDED.expires_in_ms,
    "unique" = EXCLUDED."unique", batch = EXCLUDED.batch, limit_keys = EXCLUDED.limit_keys, fair_key = EXCLUDED.fair_key,
    webhook = EXCLUDED.webhook,
    next_at = CASE
        WHEN s.paused_at IS NOT NULL THEN NULL
        WHEN (s.cron, s.timezone, s.every_ms) IS NOT DISTINCT FROM (EXCLUDED.cron, EXCLUDED.timezone, EXCLUDED.every_ms)
            THEN s.next_at
        ELSE EXCLUDED.next_at
    END
RETURNING true AS changed
