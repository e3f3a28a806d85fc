-- The authority: live jobs, finished jobs, queues, and the functions that any language can call.
--
-- A job is in exactly one of two tables. `job` holds live jobs only, so it stays as small as the
-- work at hand; `history` holds finished ones, a partition a day, retired by dropping partitions.
-- Each CHECK has a name that says what would be illegal.

CREATE TYPE leasehold.job_state AS ENUM
    ('blocked', 'scheduled', 'queued', 'running', 'succeeded', 'dead', 'cancelled');

-- Domains, not CHECKs: a domain is checked when a value is made, a CHECK at every UPDATE of the row.
CREATE DOMAIN leasehold.name AS text
    CONSTRAINT name_is_1_to_128_of_its_alphabet CHECK (VALUE ~ '^[A-Za-z0-9_][A-Za-z0-9_.:/-]{0,127}$');
CREATE DOMAIN leasehold.key AS text
    CONSTRAINT key_is_1_to_512_bytes CHECK (octet_length(VALUE) BETWEEN 1 AND 512);
CREATE DOMAIN leasehold.payload AS json
    CONSTRAINT payload_is_at_most_1_mib CHECK (octet_length(VALUE::text) <= 1048576);
CREATE DOMAIN leasehold.priority AS smallint
    CONSTRAINT priority_is_from_minus_100_to_100 CHECK (VALUE BETWEEN -100 AND 100);

CREATE TABLE leasehold.job (
    id                  uuid PRIMARY KEY,
    run_at              timestamptz NOT NULL,
    created_at          timestamptz NOT NULL DEFAULT now(),
    started_at          timestamptz,
    lease_expires_at    timestamptz,
    cancel_requested_at timestamptz,
    worker              uuid,
    epoch               integer NOT NULL DEFAULT 0,
    attempt             integer NOT NULL DEFAULT 0,
    max_attempts        integer NOT NULL,
    timeout_ms          integer,
    state               leasehold.job_state NOT NULL,
    priority            leasehold.priority NOT NULL,
    crashes             smallint NOT NULL DEFAULT 0,
    max_crashes         smallint NOT NULL,
    queue               leasehold.name NOT NULL,
    kind                leasehold.name NOT NULL,
    payload             leasehold.payload NOT NULL,
    unique_key          leasehold.key,
    limit_key           leasehold.key,
    last_error          text,
    trail               jsonb,

    CONSTRAINT live_jobs_only CHECK (state IN ('blocked', 'scheduled', 'queued', 'running')),
    CONSTRAINT worker_exactly_while_running CHECK ((worker IS NOT NULL) = (state = 'running')),
    CONSTRAINT lease_exactly_while_running CHECK ((lease_expires_at IS NOT NULL) = (state = 'running')),
    CONSTRAINT cancel_wanted_only_while_running CHECK (cancel_requested_at IS NULL OR state = 'running'),
    CONSTRAINT running_was_claimed CHECK (state <> 'running' OR (epoch > 0 AND attempt > 0 AND started_at IS NOT NULL)),
    CONSTRAINT attempts_within_limit CHECK (attempt BETWEEN 0 AND max_attempts),
    CONSTRAINT waiting_has_an_attempt_left CHECK (state = 'running' OR attempt < max_attempts),
    CONSTRAINT crashes_within_limit CHECK (crashes BETWEEN 0 AND max_crashes - 1),
    CONSTRAINT attempts_never_pass_claims CHECK (attempt <= epoch),
    CONSTRAINT max_attempts_is_from_1_to_10000 CHECK (max_attempts BETWEEN 1 AND 10000),
    CONSTRAINT timeout_is_positive CHECK (timeout_ms > 0)
) WITH (
    -- Rows are claimed soon after they are written and leave soon after that: room on the page
    -- keeps the claimed version beside the old one, and dead rows are cleared early and at full speed.
    fillfactor = 70,
    autovacuum_vacuum_threshold = 2000,
    autovacuum_vacuum_scale_factor = 0.05,
    autovacuum_analyze_threshold = 2000,
    autovacuum_analyze_scale_factor = 0.1,
    autovacuum_vacuum_cost_delay = 0
);

-- The line. `kind` stands before the order so that kinds nobody serves are passed over at no cost.
CREATE INDEX job_line ON leasehold.job (queue, kind, priority DESC, run_at, id) WHERE state = 'queued';
-- `queue` only so that scheduled jobs are counted without reading them.
CREATE INDEX job_due ON leasehold.job (run_at) INCLUDE (queue) WHERE state = 'scheduled';
CREATE INDEX job_blocked ON leasehold.job (queue) WHERE state = 'blocked';
-- The predicate is deliberately not `state = 'running'`: statements that find rows by id and say
-- `state = 'running'` must not be able to use this index (on a fresh table the planner would).
CREATE INDEX job_lease ON leasehold.job (lease_expires_at) WHERE lease_expires_at IS NOT NULL;
-- Runs whose cancel somebody asked for, usually none: the reaper tells their workers.
CREATE INDEX job_cancel_wanted ON leasehold.job (worker) WHERE cancel_requested_at IS NOT NULL;
CREATE UNIQUE INDEX job_unique_key ON leasehold.job (unique_key) WHERE unique_key IS NOT NULL;

CREATE TABLE leasehold.history (
    id                  uuid NOT NULL,
    run_at              timestamptz NOT NULL,
    created_at          timestamptz NOT NULL,
    started_at          timestamptz,
    finished_at         timestamptz NOT NULL,
    worker              uuid,
    epoch               integer NOT NULL,
    attempt             integer NOT NULL,
    max_attempts        integer NOT NULL,
    timeout_ms          integer,
    state               leasehold.job_state NOT NULL,
    priority            smallint NOT NULL,
    crashes             smallint NOT NULL,
    max_crashes         smallint NOT NULL,
    queue               text NOT NULL,
    kind                text NOT NULL,
    payload             json NOT NULL,
    result              json,
    unique_key          text,
    limit_key           text,
    last_error          text,
    trail               jsonb,

    PRIMARY KEY (id, finished_at),
    CONSTRAINT finished_jobs_only CHECK (state IN ('succeeded', 'dead', 'cancelled')),
    CONSTRAINT success_was_claimed_by_a_worker CHECK (state <> 'succeeded' OR (worker IS NOT NULL AND epoch > 0)),
    CONSTRAINT result_only_of_success CHECK (result IS NULL OR state = 'succeeded')
) PARTITION BY RANGE (finished_at);

-- Rows arrive in the order of finished_at, so a block range index finds "the last minute" for next to nothing.
CREATE INDEX history_finished ON leasehold.history USING brin (finished_at)
    WITH (pages_per_range = 32, autosummarize = on);
-- What operators list: the few that did not succeed, newest id first. Costs nothing for those that did.
CREATE INDEX history_unsuccessful ON leasehold.history (state, id) WHERE state <> 'succeeded';

-- Where a settle lands when nobody has made the day's partition: it must never fail for that.
CREATE TABLE leasehold.history_default PARTITION OF leasehold.history DEFAULT;

-- Queues that somebody has said something about. A queue needs no row to be used.
CREATE TABLE leasehold.queue (
    name      leasehold.name PRIMARY KEY,
    paused_at timestamptz
);

CREATE VIEW leasehold.jobs AS
SELECT id, queue::text AS queue, kind::text AS kind, state::text AS state, priority::smallint AS priority,
       payload::json AS payload, NULL::json AS result, last_error, attempt, max_attempts, crashes, epoch, worker,
       run_at, created_at, started_at, NULL::timestamptz AS finished_at, lease_expires_at,
       unique_key::text AS unique_key, limit_key::text AS limit_key,
       max_crashes, timeout_ms, cancel_requested_at, trail
FROM leasehold.job
UNION ALL
SELECT id, queue, kind, state::text, priority, payload, result, last_error, attempt, max_attempts, crashes, epoch,
       worker, run_at, created_at, started_at, finished_at, NULL, unique_key, limit_key,
       max_crashes, timeout_ms, NULL, trail
FROM leasehold.history;

COMMENT ON VIEW leasehold.jobs IS 'Every job, live and finished.';
