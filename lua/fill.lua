-- fill: makes the head match the front of the line. Inserts the ids that Redis does not hold, each at its position.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell
-- ARGV  1 bound: the maximum length of `ready`
--       2 more: 1 if the line continues behind these ids
--       3 the position of the last of these ids in the line, or `-`
--       4 how long to keep that position, in ms
--       5… the first ids of the line, the next job first
-- Returns {pushed, held, paused}
--   pushed  inserted into `ready` and kept there
--   held    already waiting or leased in Redis
--   paused  1 if the queue is paused: nothing was done
-- Sets `overflow` if the line is longer than what Redis holds afterwards, else clears the flag. Stores the position in
-- `filled` if the line continues behind it and Redis holds all ids before it, so that `extend` can continue from there;
-- otherwise deletes `filled`. If no id was missing, the position in `filled` stays: the head may reach further than these ids.
-- Rings the bell if it pushed any hint.
-- Cost  O(log members) per id, plus O(length of ready) if a missing id belongs before a waiting one or `ready` has no room

local ready, leases, flags, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bound, more, place, kept_ms = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4]
local FIRST_ID = 5
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

if redis.call('HEXISTS', flags, 'paused') == 1 then return {0, 0, 1} end

-- The missing ids, and whether all of them belong behind all waiting hints.
local missing, is_missing, in_order = {}, {}, true
for first = FIRST_ID, #ARGV, CHUNK do
  local last = math.min(first + CHUNK - 1, #ARGV)
  for i, score in ipairs(redis.call('ZMSCORE', leases, unpack(ARGV, first, last))) do
    local id = ARGV[first + i - 1]
    if not score then
      missing[#missing + 1] = id
      is_missing[id] = true
    elseif score == 'inf' and #missing > 0 then
      in_order = false
    end
  end
end
local held = #ARGV - FIRST_ID + 1 - #missing
-- Whether waiting hints were dropped to make room.
local fell = false

local function append(ids, last)
  for first = 1, last, CHUNK do
    redis.call('RPUSH', ready, unpack(ids, first, math.min(first + CHUNK - 1, last)))
  end
end

local function hold(ids, last)
  for first = 1, last, CHUNK do
    local scored = {}
    for i = first, math.min(first + CHUNK - 1, last) do
      scored[#scored + 1] = '+inf'
      scored[#scored + 1] = ids[i]
    end
    redis.call('ZADD', leases, unpack(scored))
  end
end

-- Inserts each missing id before the waiting hint that follows it in the line. Waiting hints keep their order.
local function merge(waiting)
  local waits = {}
  for _, id in ipairs(waiting) do waits[id] = true end
  local before, group = {}, {}
  for i = FIRST_ID, #ARGV do
    local id = ARGV[i]
    if is_missing[id] then
      group[#group + 1] = id
    elseif waits[id] and #group > 0 then
      before[id], group = group, {}
    end
  end
  local merged = {}
  for _, id in ipairs(waiting) do
    for _, earlier in ipairs(before[id] or {}) do merged[#merged + 1] = earlier end
    before[id] = nil
    merged[#merged + 1] = id
  end
  for _, id in ipairs(group) do merged[#merged + 1] = id end
  return merged
end

-- A full head may hold hints from further back in the line, pushed while Redis had lost earlier ones. They would keep the
-- missing ids out until a worker takes them. So as many of them as needed are dropped, from the end.
local function make_room(wanted)
  local given, waiting, dropped = {}, redis.call('LRANGE', ready, 0, -1), {}
  for i = FIRST_ID, #ARGV do given[ARGV[i]] = true end
  for i = #waiting, 1, -1 do
    if wanted > 0 and not given[waiting[i]] then
      redis.call('ZREM', leases, waiting[i])
      dropped[i] = true
      wanted = wanted - 1
    end
  end
  if not next(dropped) then return end
  local kept = {}
  for i, id in ipairs(waiting) do
    if not dropped[i] then kept[#kept + 1] = id end
  end
  redis.call('DEL', ready)
  append(kept, #kept)
  fell = true
end

local pushed = 0
if #missing > 0 and in_order then
  local room = bound - redis.call('LLEN', ready)
  if room < #missing then make_room(#missing - math.max(0, room)) end
  pushed = math.max(0, math.min(#missing, bound - redis.call('LLEN', ready)))
  hold(missing, pushed)
  append(missing, pushed)
elseif #missing > 0 then
  local merged = merge(redis.call('LRANGE', ready, 0, -1))
  local new = {}
  for i, id in ipairs(merged) do
    if i <= bound and is_missing[id] then
      new[#new + 1] = id
    elseif i > bound and not is_missing[id] then
      redis.call('ZREM', leases, id)
      fell = true
    end
  end
  pushed = #new
  hold(new, pushed)
  redis.call('DEL', ready)
  append(merged, math.min(bound, #merged))
end

local all_held = pushed == #missing and not fell
if more or not all_held then
  redis.call('HSET', flags, 'overflow', 1)
else
  redis.call('HDEL', flags, 'overflow')
end
if more and all_held and place ~= '-' then
  if pushed > 0 or redis.call('PEXPIRE', filled, kept_ms) == 0 then redis.call('SET', filled, place, 'PX', kept_ms) end
else
  redis.call('DEL', filled)
end
if pushed > 0 then ring() end
return {pushed, held, 0}
