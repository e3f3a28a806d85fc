-- extend: appends to the head the ids that follow in the line behind the position to which the head was filled. Repairs
-- nothing; `fill` does. Cheaper than a fill, for a head that is low and was filled a moment ago.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell
-- ARGV  1 bound: the maximum length of `ready`
--       2 from: the position that `filled` must hold
--       3 to: the position of the last of these ids
--       4… pairs, in order: an id that follows `from` in the line, and its score in `leases` while it waits
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
    elseif #missing < room then
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
reach = reach or (#ARGV >= FIRST_ID and ARGV[#ARGV]) or redis.call('HGET', flags, 'overflow') or 1
redis.call('HSET', flags, 'overflow', reach)
if pushed + held == (#ARGV - FIRST_ID + 1) / 2 then redis.call('SET', filled, to, 'KEEPTTL') end
if pushed > 0 then ring() end
return {pushed, held, 0}
