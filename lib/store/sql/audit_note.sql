-- audit_note: writes into the audit who is about to change what.
--
-- Guard:      none. The database writes the time and its own user name.
-- Parameters: $1 the actor, or NULL for the command line: then the actor is the user of the session, $2 action, $3 target, $4 details
--             as JSON.
-- Zero rows:  always: to return the row would need a right that writers may not have.
-- Index:      none.
INSERT INTO leasehold.audit (actor, action, target, detail)
VALUES (coalesce($1::text, 'cli:' || session_user), $2::text, $3::text, $4::jsonb)
