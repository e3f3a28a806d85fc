-- ack: forgets hints. Their jobs are finished, held elsewhere or no longer in the line.
--
-- KEYS  1 leases   2… lists to take them from as well
-- ARGV  1… ids
-- Returns how many of them had a lease or waited
-- Cost  O(log members) for each id; O(length) for each list, and for each id that is found there; of lists that are longer
--       than there are ids, for each id. Workers name `claimed` only, which is empty or short; a repair names all lists.

local CHUNK = 1000 -- ids of one call; Lua's `unpack` gives up at some 8,000

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
