-- extend: appends to the head the ids that follow in the line behind the position to which the head was filled. Repairs
-- nothing; `fill` does. Cheaper than a fill, for a head that is low and was filled a moment ago.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell   6 readings
-- ARGV  1 bound: the maximum length of `ready`
--       2 from: the position that `filled` must hold
--       3 to: the position of the last of these ids
--       4 the number of the reading, as in `fill`
--       5… pairs, in order: an id that follows `from` in the line, and its score in `leases` while it waits
-- Returns {pushed, held, changed}
--   pushed   appended to `ready`
--   held     already waiting or leased in Redis
--   changed  1 if nothing was done, and a fill is needed: `filled` holds another position or has expired, the queue is
--            paused, or an id belongs before a waiting hint
-- Sets `overflow` to the position to which the head reaches now, because the line may be longer; only a fill deletes the
-- field. Sets `filled` to `to` and keeps its remaining time to live, so that a fill still comes when it is due. If some ids
-- had no room, `filled` stays `from`.
-- Rings the bell if it pushed any hint.
-- Cost  O(log members) per id

local ready, leases, flags, filled, bell, readings = unpack(KEYS)
local bound, from, to, reading = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local FIRST_ID = 5
-- How many readings later the notes of a reading are deleted. A reading lasts no longer than a few others.
local NOTES_KEPT = 100
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 500
-- Longer than a worker that found nothing needs until it waits for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one worker that waits for the bell, or the next one that will. The woken worker then takes hints itself.
local function ring()
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, 1)
    redis.call('PEXPIRE', bell, BELL_KEPT_MS)
  end
end

local set = redis.call('HMGET', flags, 'paused', 'overflow')
if set[1] or redis.call('GET', filled) ~= from then return {0, 0, 1} end

-- The lowest position of a hint that `push` did not keep since the line was read: the line may have more jobs from there on.
local function refused_from()
  local now = redis.call('HGET', readings, 'n')
  if reading == '-' then return math.huge end
  -- The notes of this reading were deleted, because it took too long.
  if not now or now - reading >= NOTES_KEPT then return tonumber(set[2] or '+inf') end
  local lowest = math.huge
  for n = tonumber(reading), tonumber(now) do
    lowest = math.min(lowest, tonumber(redis.call('HGET', readings, n) or '+inf'))
  end
  local old = reading - NOTES_KEPT
  redis.call('HDEL', readings, old, 'kept:' .. old)
  return lowest
end

local cut = refused_from()
local last = redis.call('LINDEX', ready, -1)
local last_score = last and tonumber(redis.call('ZSCORE', leases, last) or '-inf') or -math.huge
local room = bound - redis.call('LLEN', ready)
local pushed, held = 0, 0
-- The position to which the head reaches.
local reach
for first = FIRST_ID, #ARGV, 2 * CHUNK do
  local ids, missing, scored = {}, {}, {}
  for i = first, math.min(first + 2 * CHUNK - 1, #ARGV), 2 do ids[#ids + 1] = ARGV[i] end
  for i, score in ipairs(redis.call('ZMSCORE', leases, unpack(ids))) do
    local its = ARGV[first + 2 * i - 1]
    if score then
      held = held + 1
    elseif #missing < room and tonumber(its) < cut then
      missing[#missing + 1] = ids[i]
      scored[#scored + 1] = its
      scored[#scored + 1] = ids[i]
    elseif not reach then
      reach = its
    end
  end
  if #missing > 0 then
    if pushed == 0 and tonumber(scored[1]) < last_score then return {0, 0, 1} end
    redis.call('ZADD', leases, unpack(scored))
    redis.call('RPUSH', ready, unpack(missing))
    pushed, room = pushed + #missing, room - #missing
  end
end
local holds_all = pushed + held == (#ARGV - FIRST_ID + 1) / 2
reach = tonumber(reach or (#ARGV >= FIRST_ID and ARGV[#ARGV]) or set[2] or 1)
if cut <= reach then reach, holds_all = cut, false end
redis.call('HSET', flags, 'overflow', string.format('%.0f', reach))
if holds_all then redis.call('SET', filled, to, 'KEEPTTL') end
if pushed > 0 then ring() end
return {pushed, held, 0}
