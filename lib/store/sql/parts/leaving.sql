-- leaving: the columns of a deleted job that `finish` needs. `j.*` is shorter and is good enough for rare ends. But with it a
-- completion takes 5 % longer, because PostgreSQL copies all columns.
--
-- From:       a row of leasehold.job, as `j`.
j.id, j.run_at, j.created_at, j.started_at, j.worker, j.epoch, j.attempt, j.max_attempts, j.timeout_ms, j.priority,
j.crashes, j.max_crashes, j.queue, j.kind, j.payload, j.unique_key, j.begun_key, j.limit_key, j.last_error, j.trail,
j.retry, j.retry_until, j.expires_at, j.unique_rule, j.is_parent, j.unmet, j.progress, j.limit_keys, j.batch, j.fair_key,
j.on_clock
