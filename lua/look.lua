-- look: one queue in numbers. Changes nothing.
--
-- KEYS  1 ready   2 claimed   3 leases   4 flags   5 asides
-- Returns {in use, paused, overflow, ready, claimed, members, waiting, overdue, kinds aside}
--   in use       1 if any of these keys exists
--   members      ids with a deadline, and those that wait
--   waiting      ids that count as waiting
--   overdue      ids whose deadline has passed
--   kinds aside  kinds that have hints aside, which are to be counted apart
-- Cost  O(log members)

local ready, claimed, leases, flags, asides = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
if redis.call('EXISTS', ready, claimed, leases, flags, asides) == 0 then return {0, 0, 0, 0, 0, 0, 0, 0, 0} end

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
return {
  1,
  redis.call('HEXISTS', flags, 'paused'),
  redis.call('HEXISTS', flags, 'overflow'),
  redis.call('LLEN', ready),
  redis.call('LLEN', claimed),
  redis.call('ZCARD', leases),
  redis.call('ZCOUNT', leases, '+inf', '+inf'),
  redis.call('ZCOUNT', leases, '-inf', now_ms),
  redis.call('SCARD', asides),
}
