-- ack: removes hints whose jobs are finished, held by another worker, or no longer in the line.
--
-- KEYS  1 leases   2… lists from which the ids are removed too
-- ARGV  1… ids
-- Returns how many of the ids were in `leases`
-- Cost  O(log members) per id. For each list: O(length), plus O(length) per id found in the list; when the list has at least
--       as many items as ARGV has ids: O(length) per id. Workers name only `claimed`, which is empty or short. A repair names
--       all lists.

local CHUNK = 1000 -- maximum number of ids of one call; Lua's `unpack` fails at about 8,000

local known = 0
for first = 1, #ARGV, CHUNK do
  known = known + redis.call('ZREM', KEYS[1], unpack(ARGV, first, math.min(first + CHUNK - 1, #ARGV)))
end
for list = 2, #KEYS do
  local length = redis.call('LLEN', KEYS[list])
  if length >= #ARGV then
    for _, id in ipairs(ARGV) do redis.call('LREM', KEYS[list], 0, id) end
  elseif length > 0 then
    local gone = {}
    for _, id in ipairs(ARGV) do gone[id] = true end
    for _, id in ipairs(redis.call('LRANGE', KEYS[list], 0, -1)) do
      if gone[id] then redis.call('LREM', KEYS[list], 0, id) end
    end
  end
end
return known
