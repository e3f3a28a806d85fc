-- expired: lists the leases that have run out. Changes nothing.
--
-- KEYS  1 leases
-- ARGV  1 limit
-- Returns ids, the lease that ran out first comes first
-- Cost  O(log members + returned ids)

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', now_ms, 'LIMIT', 0, ARGV[1])
