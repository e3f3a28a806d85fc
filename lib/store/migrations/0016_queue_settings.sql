-- What an operator says about a queue: where its dead jobs go, and how long its finished jobs are kept. See
-- docs/adr/0023-a-dead-letter-is-a-new-job.md and docs/adr/0024-finished-jobs-are-kept-by-queue.md.

-- The queue that gets a job for each job that dies in this queue.
ALTER TABLE leasehold.queue ADD COLUMN dead_letter leasehold.name
    CONSTRAINT dead_letter_is_another_queue CHECK (dead_letter <> name);
-- For how many days finished jobs are kept. NULL: as the setting history.keep_days says.
ALTER TABLE leasehold.queue ADD COLUMN keep_days integer
    CONSTRAINT keep_days_is_from_1_to_36500 CHECK (keep_days BETWEEN 1 AND 36500);

-- One row for each dead letter: the job that was made, and the job that died. A row is deleted when the dead job is no longer
-- kept and its letter is not live.
CREATE TABLE leasehold.dead_letter (
    job     uuid PRIMARY KEY,
    died    uuid NOT NULL,
    died_in leasehold.name NOT NULL,
    error   text,
    made_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX dead_letter_died ON leasehold.dead_letter (died);

-- The days of history from which the finished jobs of a queue have been deleted. The empty name stands for all queues that do
-- not say how long their finished jobs are kept.
CREATE TABLE leasehold.trimmed_day (
    queue text,
    day   date,
    PRIMARY KEY (queue, day)
);
