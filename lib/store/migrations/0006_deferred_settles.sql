-- The ends of runs that a stopping worker could not write, because other transactions held locks on the jobs' rows. The
-- reaper writes them when the locks are gone; until then it does not expire those runs. So a stop spends no attempt of
-- theirs and loses no result. Nearly always empty.
CREATE TABLE leasehold.deferred_settle (
    id          uuid NOT NULL,
    epoch       integer NOT NULL,
    worker      uuid NOT NULL,
    queue       leasehold.name NOT NULL,
    verb        text NOT NULL,
    -- The result (JSON), the error or the reason.
    text        text,
    delay_ms    bigint NOT NULL DEFAULT 0,
    deferred_at timestamptz NOT NULL DEFAULT now(),

    PRIMARY KEY (id, epoch),
    CONSTRAINT verb_ends_a_run CHECK (verb IN ('complete', 'retry', 'snooze', 'release', 'bury', 'cancel'))
);
