-- role_exists: whether the server has a role of this name.
--
-- Guard:      none, it only reads.
-- Parameters: $1 the name.
-- Zero rows:  never.
-- Index:      pg_authid_rolname_index.
SELECT to_regrole($1::text) IS NOT NULL AS is_there
