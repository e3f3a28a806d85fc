-- adopt: gives a short lease to the hints in `claimed`. The worker that moved a hint there may have died before it leased the
-- hint. When the short lease runs out, `expired` reports the hint like any other.
--
-- KEYS  1 claimed   2 leases
-- ARGV  1 lease in ms
--       2 limit: the maximum number of hints to adopt in this call
-- Returns how many hints left `claimed`
-- Cost  O(log members) per hint; O(1) when `claimed` is empty, which is the usual case

local claimed, leases = KEYS[1], KEYS[2]
-- Scores from here on are positions of waiting hints.
local WAITING = 2 ^ 51

local ids = redis.call('LPOP', claimed, ARGV[2])
if not ids then return 0 end

local now = redis.call('TIME')
local deadline = now[1] * 1000 + math.floor(now[2] / 1000) + tonumber(ARGV[1])
for _, id in ipairs(ids) do
  local score = redis.call('ZSCORE', leases, id)
  -- A hint with a lease belongs to a running job: keep that lease.
  if not score or tonumber(score) >= WAITING then redis.call('ZADD', leases, deadline, id) end
end
return #ids
