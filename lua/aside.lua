-- aside: stores leased hints in the list of their kind, for workers that serve the kind. Such a worker gets them from `take`.
--
-- KEYS  1 the aside list of the kind   2 asides   3 leases   4 flags
-- ARGV  1 the kind
--       2 bound: the maximum length of the list
--       3… pairs, the next job first: an id, and its score in `leases` while it waits
-- Returns {kept, forgotten}
--   kept       added to the list
--   forgotten  dropped, because the list is full or the queue is paused. The line in PostgreSQL still has their jobs.
--   An id without a lease is skipped and not counted: it waits in a list already, or Redis was lost after the lease.
-- Cost  O(log members) per id, plus O(length of the list · log length) if an id belongs before a waiting one

local list, asides, leases, flags = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local kind, bound = ARGV[1], tonumber(ARGV[2])
local FIRST_ID = 3
-- Scores from here on are positions of waiting hints.
local WAITING = 2 ^ 51

local room = bound - redis.call('LLEN', list)
if redis.call('HEXISTS', flags, 'paused') == 1 then room = 0 end

local kept, forgotten = 0, 0
for i = FIRST_ID, #ARGV, 2 do
  local id = ARGV[i]
  local score = redis.call('ZSCORE', leases, id)
  if score and tonumber(score) < WAITING then
    if kept < room then
      redis.call('ZADD', leases, ARGV[i + 1], id)
      redis.call('RPUSH', list, id)
      kept = kept + 1
    else
      redis.call('ZREM', leases, id)
      forgotten = forgotten + 1
    end
  end
end
if kept > 0 then
  redis.call('SADD', asides, kind)
  local hints, in_order = {}, true
  for i, id in ipairs(redis.call('LRANGE', list, 0, -1)) do
    hints[i] = {id = id, score = tonumber(redis.call('ZSCORE', leases, id) or WAITING), nth = i}
    if i > 1 and hints[i].score < hints[i - 1].score then in_order = false end
  end
  if not in_order then
    table.sort(hints, function(a, b) return a.score < b.score or a.score == b.score and a.nth < b.nth end)
    redis.call('DEL', list)
    for _, hint in ipairs(hints) do redis.call('RPUSH', list, hint.id) end
  end
end
return {kept, forgotten}
