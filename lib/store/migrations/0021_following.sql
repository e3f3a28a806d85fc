-- Jobs that follow from a success, and the progress of runs. See docs/adr/0029-follow-on-jobs-and-the-handlers-transaction.md.

-- The jobs that follow from a success that a stopping worker could not write: JSON as text. NULL: none.
ALTER TABLE leasehold.deferred_settle ADD COLUMN following text;

-- What the last run told about itself: how far it is, and its latest notes. NULL: nothing.
ALTER TABLE leasehold.job ADD COLUMN progress jsonb;
ALTER TABLE leasehold.history ADD COLUMN progress jsonb;
