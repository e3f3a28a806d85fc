-- deferred_settles_done: deletes deferred results that are decided: either written, or refused because of a stale fence.
--
-- Guard:      none: another reaper may have done the same.
-- Parameters: $1 ids, $2 epochs.
-- Zero rows:  another reaper was first.
-- Index:      deferred_settle_pkey.
DELETE FROM leasehold.deferred_settle d
USING unnest($1::uuid[], $2::integer[]) AS done(id, epoch)
WHERE d.id = done.id AND d.epoch = done.epoch
