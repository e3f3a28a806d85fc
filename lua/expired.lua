-- expired: which leases have run out. Changes nothing.
--
-- KEYS  1 leases
-- ARGV  1 limit
-- Returns ids, the one that ran out first first
-- Cost  O(log members + ids returned)

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
