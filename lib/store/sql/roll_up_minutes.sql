-- roll_up_minutes: adds up the minutes that have ended. Calls the function of the same name.
--
-- Guard:      the guard of the function.
-- Parameters: none.
-- Zero rows:  never. NULL: another session adds them up.
-- Index:      see the function.
SELECT leasehold.roll_up_minutes()
