-- When a queue, or a kind or a fair key in it, was last resumed. The time before is not counted as start delay of its jobs. NULL: never.
ALTER TABLE leasehold.queue ADD COLUMN resumed_at timestamptz;
