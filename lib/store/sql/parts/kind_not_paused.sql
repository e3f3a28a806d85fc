-- kind_not_paused: the kinds of a queue that are not paused.
--
-- Takes:      queue = $1; kind = k.name
-- From:       queue: its name; kind: the name of the kind.
-- Index:      pause_pkey.
NOT EXISTS (SELECT FROM leasehold.pause p WHERE p.queue = $queue AND p.what = 'kind' AND p.name = $kind)
