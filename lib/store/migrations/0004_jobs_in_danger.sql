-- Runs of jobs that crashed before, usually none: a claim asks whether its worker has one already.
CREATE INDEX job_in_danger ON leasehold.job (worker) WHERE crashes > 0 AND worker IS NOT NULL;
