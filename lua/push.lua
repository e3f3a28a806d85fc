-- push: puts hints into the head.
--
-- KEYS  1 ready   2 leases   3 flags   4 claimed   5 filled   6 bell
-- ARGV  1 bound: the most hints that `ready` may hold
--       2 mode: `back`    new hints, behind the others
--               `front`   new hints, before the others
--               `return`  hints that a worker gives back, before the others: leased ones are taken too, and those
--                         still in `claimed`
--       3… ids, the next one first
-- Returns {pushed, doubles, overflowed, paused}
--   pushed      put into `ready` and kept there
--   doubles     already waiting here (or, unless given back, leased): left as they are
--   overflowed  not kept, or taken from the end to make room: the line has them, and `overflow` says so. All of them
--               when `overflow` did so before
--   paused      1 if the queue is paused: nothing was pushed, and hints given back are forgotten
-- Cost  O(log members) for each id; O(length of claimed) for each id given back, which is next to nothing
--
-- `overflow` closes the back only: a new hint behind a cut-off head would overtake the rest of the line. The front
-- stays open, and what does not fit any more falls off the end. Then the head does not reach as far as it was filled, so
-- it must not be extended from there: `filled` goes. Rings the bell if it has pushed any.

local ready, leases, flags, claimed, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local bound, mode = tonumber(ARGV[1]), ARGV[2]
local FIRST_ID = 3
-- Arguments of one call; Lua's `unpack` gives up at some 8,000.
local CHUNK = 1000
-- Long enough for a worker that has found nothing to begin its wait for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one of the workers that wait for the bell, or the next one to do so. They look themselves what there is.
local function ring()
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, 1)
    redis.call('PEXPIRE', bell, BELL_KEPT_MS)
  end
end

if redis.call('HEXISTS', flags, 'paused') == 1 then
  if mode == 'return' then
    for i = FIRST_ID, #ARGV do
      redis.call('LREM', claimed, 1, ARGV[i])
      redis.call('ZREM', leases, ARGV[i])
    end
  end
  return {0, 0, 0, 1}
end

local room = #ARGV
if mode == 'back' then
  -- All that comes in while the line is long: none has to be looked at.
  if redis.call('HEXISTS', flags, 'overflow') == 1 then return {0, 0, #ARGV - FIRST_ID + 1, 0} end
  room = bound - redis.call('LLEN', ready)
end

local function is_double(id)
  local score = redis.call('ZSCORE', leases, id)
  if mode ~= 'return' then return score end
  return score == 'inf' and redis.call('LREM', claimed, 1, id) == 0
end

local fresh, doubles, overflowed = {}, 0, 0
for i = FIRST_ID, #ARGV do
  local id = ARGV[i]
  if is_double(id) then
    doubles = doubles + 1
  elseif #fresh < room then
    redis.call('ZADD', leases, '+inf', id)
    fresh[#fresh + 1] = id
  else
    overflowed = overflowed + 1
  end
end

if mode == 'back' then
  for first = 1, #fresh, CHUNK do
    redis.call('RPUSH', ready, unpack(fresh, first, math.min(first + CHUNK - 1, #fresh)))
  end
else
  -- Each LPUSH goes before the one before it: from the last to the first.
  local reversed = {}
  for i = #fresh, 1, -1 do reversed[#reversed + 1] = fresh[i] end
  for first = 1, #reversed, CHUNK do
    redis.call('LPUSH', ready, unpack(reversed, first, math.min(first + CHUNK - 1, #reversed)))
  end
  local excess = redis.call('LLEN', ready) - bound
  if excess > 0 then redis.call('DEL', filled) end
  while excess > 0 do
    local fallen = redis.call('RPOP', ready, math.min(excess, CHUNK))
    redis.call('ZREM', leases, unpack(fallen))
    overflowed = overflowed + #fallen
    excess = excess - #fallen
  end
end

if overflowed > 0 then redis.call('HSET', flags, 'overflow', 1) end
if #fresh > 0 then ring() end
return {#fresh, doubles, overflowed, 0}
