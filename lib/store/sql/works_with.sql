-- works_with: whether a program works on a schema that is newer than the program.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the last migration that the program knows.
-- Answer:     true if each later migration says that such a program works.
-- Index:      migration_pkey; works_with_pkey.
SELECT NOT EXISTS (
    SELECT FROM leasehold.migration m
    WHERE m.version > $1 AND NOT EXISTS (SELECT FROM leasehold.works_with w WHERE w.migration = m.version AND w.programs_from <= $1))
