-- forget_statements: removes all named statements of this connection of the server.
--
-- Guard:      only behind a pooler, where Leasehold itself leaves none. The driver's migrations name theirs, by numbers from
--             one: those of the last migration may still be there, on a connection that a pooler has kept.
-- Zero rows:  always.
-- Index:      none.
DEALLOCATE ALL
