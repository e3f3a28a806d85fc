-- roll_up_minutes: adds up the minutes that are over. The function of the same name does it.
--
-- Guard:      that of the function.
-- Parameters: none.
-- Zero rows:  never. NULL: another session adds them up.
-- Index:      those of the function.
SELECT leasehold.roll_up_minutes()
