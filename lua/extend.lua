-- extend: appends to the head what comes in the line behind the place up to which the head was filled, and nothing else. A
-- fill is what puts the head right; this is cheaper, for a head that is low and was filled a moment ago.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell
-- ARGV  1 bound: the most hints that `ready` may hold
--       2 from: the place that `filled` must hold
--       3 to: the place of the last of these ids
--       4… the ids that come after `from` in the line, in order
-- Returns {pushed, held, changed}
--   pushed   put behind the others
--   held     waiting or leased here already
--   changed  1 if the head was filled up to another place, or longer ago, or the queue is paused: nothing was done
-- Sets `overflow`: the line is longer than what is held after this. Only a fill clears it. Sets `filled` to `to` for as long
-- as it would have held `from`, so that there is a fill when one is due; where not all ids had room, it stays `from`.
-- Rings the bell if it has pushed any.
-- Cost  O(log members) for each id.

local ready, leases, flags, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bound, from, to = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local FIRST_ID = 4
-- Arguments of one call; Lua's `unpack` gives up at some 8,000.
local CHUNK = 500
-- Long enough for a worker that has found nothing to begin its wait for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one of the workers that wait for the bell, or the next one to do so. They look themselves what there is.
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
