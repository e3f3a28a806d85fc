-- look: the numbers of one queue. Changes nothing.
--
-- KEYS  1 ready   2 claimed   3 leases   4 flags   5 asides
-- Returns {in use, paused, overflow, ready, claimed, members, waiting, overdue, kinds aside}
--   in use       1 if any of these keys exists
--   members      ids in `leases`, with a deadline or waiting
--   waiting      ids that wait
--   overdue      ids whose deadline has passed
--   kinds aside  kinds that have hints aside; the caller counts those hints
-- Cost  O(log members)

-- Scores from here on are positions of waiting hints: 2^51.
local WAITING = '2251799813685248'
local ready, claimed, leases, flags, asides = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]

local set = redis.call('HMGET', flags, 'paused', 'overflow')
local paused, overflow = set[1] and 1 or 0, set[2] and 1 or 0
local in_ready, in_claimed = redis.call('LLEN', ready), redis.call('LLEN', claimed)
local kinds_aside = redis.call('SCARD', asides)
local members, waiting, overdue = redis.call('ZCARD', leases), 0, 0
if members > 0 then waiting = redis.call('ZCOUNT', leases, WAITING, '+inf') end
-- Most queues have no lease. Counting overdue leases would cost more than half of this script.
if members > waiting then
  local now = redis.call('TIME')
  overdue = redis.call('ZCOUNT', leases, '-inf', now[1] * 1000 + math.floor(now[2] / 1000))
end

local in_use = paused + overflow + in_ready + in_claimed + members + kinds_aside > 0 and 1 or 0
return {in_use, paused, overflow, in_ready, in_claimed, members, waiting, overdue, kinds_aside}
