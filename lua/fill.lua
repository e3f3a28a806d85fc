-- fill: makes the head match the front of the line. Pushes those ids that Redis does not hold, each to its place.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell
-- ARGV  1 bound: the most hints that `ready` may hold
--       2 more: 1 if the line goes on behind these ids
--       3 the place of the last of these ids in the line, or `-`
--       4 how long that may be kept, in ms
--       5… the first ids of the line, the next one first
-- Returns {pushed, held, paused}
--   pushed  put into `ready` and kept there
--   held    waiting or leased here already
--   paused  1 if the queue is paused: nothing was done
-- Sets `overflow` if the line is longer than what is held after this, and clears it if all of it is. Keeps the place in
-- `filled` if the line goes on behind it and all before it is held, so that the head can be extended from there; otherwise
-- `filled` goes. If nothing was missing, what `filled` holds already stays: more may be leased than was read.
-- Rings the bell if it has pushed any.
-- Cost  O(log members) for each id. When an id belongs before one that waits in `ready`, or there is no room for it, also
--       O(length of ready).

local ready, leases, flags, filled, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5]
local bound, more, place, kept_ms = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4]
local FIRST_ID = 5
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

if redis.call('HEXISTS', flags, 'paused') == 1 then return {0, 0, 1} end

-- Which ids are missing, and whether all of them belong behind all that wait.
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
-- Whether hints that waited had to make place.
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

-- The missing ones each before the hint that follows it in the line; what waits keeps its order.
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

-- A full head may hold hints from further back, pushed while Redis had lost what comes before them. They would stand in
-- the way for as long as nobody takes them: so many of them, from the end, make place for the missing ones.
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
