-- Schedules, and the ticks that they have fired. See docs/adr/0020-every-reaper-may-fire.md.

CREATE TABLE leasehold.schedule (
    name         leasehold.name PRIMARY KEY,
    -- Changes with each change that somebody makes. A reaper that has read an earlier one does not fire it.
    revision     bigint NOT NULL DEFAULT 1,
    next_at      timestamptz,
    paused_at    timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    changed_at   timestamptz NOT NULL DEFAULT now(),
    -- When it fires: by a cron expression in a time zone, or again and again after the same time.
    cron         text,
    timezone     text,
    every_ms     bigint,
    -- How many of the ticks that are due make a job each: 0 is `skip`, 1 is `one`, more is `all:N`.
    missed_limit smallint NOT NULL DEFAULT 1,
    -- The job of each tick: a column for each word of leasehold.job_spec that a schedule can have.
    queue        leasehold.name NOT NULL DEFAULT 'default',
    kind         leasehold.name NOT NULL,
    payload      leasehold.payload NOT NULL DEFAULT '{}',
    priority     leasehold.priority NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL DEFAULT 5,
    timeout_ms   integer,
    unique_key   leasehold.key,
    limit_key    leasehold.key,
    -- Why the last tick made no job.
    last_error   text,

    CONSTRAINT schedule_has_cron_or_every CHECK (num_nonnulls(cron, every_ms) = 1),
    CONSTRAINT timezone_exactly_with_cron CHECK ((timezone IS NOT NULL) = (cron IS NOT NULL)),
    CONSTRAINT cron_is_1_to_200_bytes CHECK (octet_length(cron) BETWEEN 1 AND 200),
    CONSTRAINT every_is_from_1_s_to_10_years CHECK (every_ms BETWEEN 1000 AND 315360000000),
    CONSTRAINT missed_limit_is_from_0_to_500 CHECK (missed_limit BETWEEN 0 AND 500),
    CONSTRAINT next_tick_exactly_unless_paused CHECK ((next_at IS NOT NULL) = (paused_at IS NULL)),
    CONSTRAINT schedule_max_attempts_is_from_1_to_10000 CHECK (max_attempts BETWEEN 1 AND 10000),
    CONSTRAINT schedule_timeout_is_up_to_24_days CHECK (timeout_ms BETWEEN 1 AND 2073600000)
);

-- The probe of a reaper.
CREATE INDEX schedule_due ON leasehold.schedule (next_at) WHERE next_at IS NOT NULL;

-- One row for each tick that was fired, with the job that it made. The primary key keeps a tick from making a second job when
-- `next_at` goes back: the clock of a new primary is behind, or somebody changes the schedule in the moment of its tick. A
-- row stays for a day at least, and the last row of a schedule stays.
CREATE TABLE leasehold.schedule_tick (
    schedule leasehold.name NOT NULL REFERENCES leasehold.schedule ON DELETE CASCADE,
    tick     timestamptz NOT NULL,
    job      uuid NOT NULL,
    fired_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (schedule, tick)
);
