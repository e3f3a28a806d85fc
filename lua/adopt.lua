-- adopt: gives a short lease to what lies in `claimed`: the worker that took it may have died before it came to lease
-- it. When the lease runs out, the hint is found by `expired` like any other.
--
-- KEYS  1 claimed   2 leases
-- ARGV  1 lease in ms
--       2 limit: how many hints to adopt in this call
-- Returns how many hints left `claimed`
-- Cost  O(log members) for each of them; O(1) when `claimed` is empty, as it nearly always is

local claimed, leases = KEYS[1], KEYS[2]
local ids = redis.call('LPOP', claimed, ARGV[2])
if not ids then return 0 end

local now = redis.call('TIME')
local deadline = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[1])
for _, id in ipairs(ids) do
  local score = redis.call('ZSCORE', leases, id)
  -- One that is leased already runs somewhere: that lease stands.
  if not score or score == 'inf' then redis.call('ZADD', leases, deadline, id) end
end
return #ids
