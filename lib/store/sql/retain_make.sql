-- retain_make: the partition of one day, with what the default partition holds of that day.
--
-- Guard:      one caller at a time (a lock for the transaction); gives up soon when the table is in use.
-- Parameters: $1 day.
-- Answer:     'made' and the rows moved, 'exists', 'full' (too many rows to be moved at once: they stay in the default
--             partition), or 'busy': nothing was changed, and the next call tries again.
SELECT m.answer, m.moved FROM leasehold.make_partition($1::date) m
