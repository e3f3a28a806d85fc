-- push: puts hints into the head.
--
-- KEYS  1 ready   2 leases   3 flags   4 claimed   5 filled   6 bell
-- ARGV  1 bound: the maximum length of `ready`
--       2 mode: `back`    new hints, behind the waiting ones
--               `front`   new hints, before the waiting ones
--               `return`  hints that a worker gives back, before the waiting ones; also hints that are leased or still in
--                         `claimed`
--       3… ids, the next job first
-- Returns {pushed, doubles, overflowed, paused}
--   pushed      put into `ready`
--   doubles     skipped, because they already wait (in the modes `back` and `front` also: because they are leased)
--   overflowed  not kept, or dropped from the end to make room. The line in PostgreSQL still has their jobs, and `overflow`
--               is set. If `overflow` was set before and the mode is `back`: all ids
--   paused      1 if the queue is paused: nothing was pushed, and hints that were given back are forgotten
-- Cost  O(log members) per id; O(length of claimed) per id that is given back, and `claimed` is empty or short
--
-- `overflow` closes only the back: a new hint behind a head that is shorter than the line would overtake the rest of the line.
-- The front stays open, and what exceeds the bound is dropped from the end. Then the head no longer reaches the position in
-- `filled` and must not be extended from there, so `filled` is deleted. Rings the bell if it pushed any hint.

local ready, leases, flags, claimed, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local bound, mode = tonumber(ARGV[1]), ARGV[2]
local FIRST_ID = 3
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 1000
-- Longer than a worker that found nothing needs until it waits for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one worker that waits for the bell, or the next one that will. The worker itself looks for hints.
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
  -- While the line is longer than the head, no new hint is looked at.
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
  -- LPUSH reverses the order of its arguments: push from the last to the first.
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
