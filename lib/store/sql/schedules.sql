-- schedules: one schedule, or all of them by name, each with its last tick and the job of this tick.
--
-- Guard:      none, it only reads.
-- Parameters: $1 name, or NULL for all.
-- Zero rows:  there is no schedule of this name, or no schedule at all.
-- Index:      schedule_pkey; schedule_tick_pkey, one probe for each schedule.
SELECT s.name::text AS name, s.revision, s.cron, s.timezone, s.every_ms, s.missed_limit, s.queue::text AS queue,
       s.kind::text AS kind, s.payload::text AS payload, s.priority::smallint AS priority, s.max_attempts, s.timeout_ms,
       s.unique_key::text AS unique_key, coalesce(s.limit_keys[1], s.limit_key::text) AS limit_key,
       coalesce(s.limit_keys, CASE WHEN s.limit_key IS NOT NULL THEN ARRAY[s.limit_key::text] END) AS limit_keys, s.retry::text AS retry,
       s.expires_in_ms, s."unique"::text AS "unique", s.batch::text AS batch, s.fair_key, s.webhook::text AS webhook, s.next_at, s.paused_at,
       s.created_at, s.changed_at, s.last_error, last.tick AS last_tick, last.job AS last_job, now() AS as_of
FROM leasehold.schedule s
LEFT JOIN LATERAL (
    SELECT t.tick, t.job FROM leasehold.schedule_tick t WHERE t.schedule = s.name ORDER BY t.tick DESC LIMIT 1
) last ON true
WHERE $1::text IS NULL OR s.name = $1::text
ORDER BY s.name
