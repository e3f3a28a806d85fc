-- aside: stores leased hints in the list of their kind, for workers that serve the kind. Such a worker gets them from `take`.
--
-- KEYS  1 the aside list of the kind   2 asides   3 leases   4 flags
-- ARGV  1 the kind
--       2 bound: the maximum length of the list
--       3… ids, the next job first
-- Returns {kept, forgotten}
--   kept       added to the list
--   forgotten  dropped, because the list is full or the queue is paused. The line in PostgreSQL still has their jobs.
--   An id without a lease is skipped and not counted: it waits in a list already, or Redis was lost after the lease.
-- Cost  O(log members) per id

local list, asides, leases, flags = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kind, bound = ARGV[1], tonumber(ARGV[2])
local FIRST_ID = 3

local room = bound - redis.call('LLEN', list)
if redis.call('HEXISTS', flags, 'paused') == 1 then room = 0 end

local kept, forgotten = 0, 0
for i = FIRST_ID, #ARGV do
  local score = redis.call('ZSCORE', leases, ARGV[i])
  if score and score ~= 'inf' then
    if kept < room then
      redis.call('ZADD', leases, '+inf', ARGV[i])
      redis.call('RPUSH', list, ARGV[i])
      kept = kept + 1
    else
      redis.call('ZREM', leases, ARGV[i])
      forgotten = forgotten + 1
    end
  end
end
if kept > 0 then redis.call('SADD', asides, kind) end
return {kept, forgotten}
