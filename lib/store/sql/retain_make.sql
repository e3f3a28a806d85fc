-- retain_make: creates the partition of one day and moves the rows of this day from the default partition into it.
--
-- Guard:      one caller at a time (a lock for the transaction); gives up soon when the table is in use.
-- Parameters: $1 day.
-- Answer:     'made' and the number of moved rows, 'exists', 'full' (too many rows to move in one statement: they stay in
--             the default partition), or 'busy': nothing was changed, and the next call tries again.
SELECT m.answer, m.moved FROM leasehold.make_partition($1::date) m
