-- extend: appends to the head the ids that follow in the line behind the position to which the head was filled. Repairs
-- nothing; `fill` does. Cheaper than a fill, for a head that is low and was filled a moment ago.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell
-- ARGV  1 bound: the maximum length of `ready`
--       2 from: the position that `filled` must hold
--       3 to: the position of the last of these ids
--       4… the ids that follow `from` in the line, in order
-- Returns {pushed, held, changed}
--   pushed   appended to `ready`
--   held     already waiting or leased in Redis
--   changed  1 if nothing was done: `filled` holds another position or has expired, or the queue is paused
-- Sets `overflow`, because the line is longer than the head; only a fill clears the flag. Sets `filled` to `to` and keeps its
-- remaining time to live, so that a fill still comes when it is due. If some ids had no room, `filled` stays `from`.
-- Rings the bell if it pushed any hint.
-- Cost  O(log members) per id

local ready, leases, flags, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bound, from, to = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local FIRST_ID = 4
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 500
-- Longer than a worker that found nothing needs until it waits for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one worker that waits for the bell, or the next one that will. The worker itself looks for hints.
local function ring()
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, 1)
    redis.call('PEXPIRE', bell, BELL_KEPT_MS)
  end
end

if redis.call('HEXISTS', flags, 'paused') == 1 or redis.call('GET', filled) ~= from then return {0, 0, 1} end

local room = bound - redis.call('LLEN', ready)
local pushed, held = 0, 0
for first = FIRST_ID, #ARGV, CHUNK do
  local missing, scored = {}, {}
  for i, score in ipairs(redis.call('ZMSCORE', leases, unpack(ARGV, first, math.min(first + CHUNK - 1, #ARGV)))) do
    if score then
      held = held + 1
    elseif #missing < room then
      local id = ARGV[first + i - 1]
      missing[#missing + 1] = id
      scored[#scored + 1] = '+inf'
      scored[#scored + 1] = id
    end
  end
  if #missing > 0 then
    redis.call('ZADD', leases, unpack(scored))
    redis.call('RPUSH', ready, unpack(missing))
    pushed, room = pushed + #missing, room - #missing
  end
end
redis.call('HSET', flags, 'overflow', 1)
if pushed + held == #ARGV - FIRST_ID + 1 then redis.call('SET', filled, to, 'KEEPTTL') end
if pushed > 0 then ring() end
return {pushed, held, 0}
