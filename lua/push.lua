-- push: puts hints into the head, each at its position in the line.
--
-- KEYS  1 ready   2 leases   3 flags   4 claimed   5 filled   6 bell   7 readings
-- ARGV  1 bound: the maximum length of `ready`
--       2 mode: `new`     hints of jobs that came into the line
--               `place`   hints of jobs whose position in the line was changed: waiting hints are moved, in both directions;
--                         hints that Redis does not hold are put in as new ones
--               `return`  hints that a worker gives back; also hints that are leased or still in `claimed`
--       3… pairs: an id, and its score in `leases` while it waits (see README.md); ordered by score. In the mode `return`
--          a score may be `-`: the position is not known, and the hint goes before all others. It came from there.
-- Returns {pushed, doubles, overflowed, paused}
--   pushed      put into `ready`
--   doubles     skipped, because they already wait (in the mode `new` also: because they are leased; in the mode `place`:
--               because a worker has taken them, or because they are set aside for another kind)
--   overflowed  not kept, because the head does not reach their position, or dropped from the end to make room. The line
--               in PostgreSQL still has their jobs. If no hint can be kept: all ids
--   paused      1 if the queue is paused: nothing was pushed, and hints that were given back are forgotten
-- Rings the bell if it pushed any hint.
-- Cost  O(log members) per id, if the ids belong behind the waiting hints. A few ids that belong before waiting hints:
--       O(length of ready) each; many of them: O(length of ready) together. The same again for waiting hints that are moved.
--       O(length of claimed) per id that is given back, and `claimed` is empty or short
--
-- `overflow` is the position to which the head reaches. A hint at or behind this position would overtake the part of the
-- line that is not in Redis. When hints fall from the end, the head reaches less far, and it must not be extended from the
-- position in `filled`, so `filled` is deleted. While another process reads the line for a fill, its read may miss the jobs of
-- these hints. So `push` notes for the fill the lowest position of a hint that is not kept, and the ids of the hints that are
-- kept. The read may also contain old positions of hints that are moved. So `push` notes the number of the reading in the field
-- `placed`, and such a fill moves no hint.

local ready, leases, flags, claimed, filled, bell, readings = unpack(KEYS)
local bound, mode = tonumber(ARGV[1]), ARGV[2]
local FIRST_ID = 3
-- Scores from here on are positions of waiting hints.
local WAITING = 2 ^ 51
-- Up to this number of hints that belong before waiting hints are inserted one by one. More hints are merged in one pass.
local FEW = 16
-- How many bytes of ids are noted during one reading: some 64 ids.
local NOTED_BYTES = 64 * 37
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 1000
-- Longer than a worker that found nothing needs until it waits for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one worker that waits for the bell, or the next worker that will wait. The woken worker then takes hints itself.
local function ring()
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, 1)
    redis.call('PEXPIRE', bell, BELL_KEPT_MS)
  end
end

local set = redis.call('HMGET', flags, 'paused', 'overflow')
if set[1] then
  if mode == 'return' then
    for i = FIRST_ID, #ARGV, 2 do
      redis.call('LREM', claimed, 1, ARGV[i])
      redis.call('ZREM', leases, ARGV[i])
    end
  end
  return {0, 0, 0, 1}
end

-- Notes for the fill that reads the line now: a hint with this score is not in the head.
local function note_refused(score)
  local reading = redis.call('HGET', readings, 'n')
  if not reading then return end
  local lowest = tonumber(redis.call('HGET', readings, reading) or '+inf')
  if score < lowest then redis.call('HSET', readings, reading, string.format('%.0f', score)) end
end

-- Notes for the fill that reads the line now: these hints came into the head, and the read of the fill may miss their jobs.
local function note_kept(list)
  local reading = redis.call('HGET', readings, 'n')
  if not reading or #list == 0 then return end
  local noted = redis.call('HGET', readings, 'kept:' .. reading) or ''
  for _, id in ipairs(list) do
    if #noted >= NOTED_BYTES then break end
    noted = noted .. id .. ','
  end
  redis.call('HSET', readings, 'kept:' .. reading, noted)
end

-- No hint is kept at or behind this position.
local reach = tonumber(set[2] or '+inf')
-- While the line is longer than the head, most new hints belong behind the head: they are skipped early.
if mode == 'new' and #ARGV > FIRST_ID and tonumber(ARGV[FIRST_ID + 1]) >= reach then
  note_refused(tonumber(ARGV[FIRST_ID + 1]))
  return {0, 0, (#ARGV - FIRST_ID + 1) / 2, 0}
end

-- The score of the hint at an index of `ready`; nil if there is none. A hint without a known position counts as the first.
local function score_at(index)
  local id = redis.call('LINDEX', ready, index)
  if not id then return nil end
  local score = tonumber(redis.call('ZSCORE', leases, id) or WAITING)
  return score < math.huge and score or WAITING
end

-- Whether a hint that is given back already waits in a list.
local function waits(id)
  local score = redis.call('ZSCORE', leases, id)
  return score and tonumber(score) >= WAITING and redis.call('LREM', claimed, 1, id) == 0
end

-- Hints without a position get the lowest score of the other hints, which they precede.
local first = WAITING
if mode == 'return' then
  first = score_at(0) or math.huge
  for i = FIRST_ID, #ARGV, 2 do
    if ARGV[i + 1] ~= '-' then
      first = math.min(first, tonumber(ARGV[i + 1]))
      break
    end
  end
  if first == math.huge then first = WAITING end
end
first = string.format('%.0f', first)
-- Hints that go before all others, and the others in their order.
local front, ids, scores = {}, {}, {}
local doubles, overflowed = 0, 0

-- In the mode `place`: takes the waiting hints among the arguments out of `ready`. Returns the ids that it took, and the ids
-- that stay where they are: their hints are leased, in `claimed` or set aside.
local function take_out()
  local given = {}
  for i = FIRST_ID, #ARGV, 2 do given[#given + 1] = ARGV[i] end
  local waiting, taken, stay, count = {}, {}, {}, 0
  for from = 1, #given, CHUNK do
    local to = math.min(from + CHUNK - 1, #given)
    for i, score in ipairs(redis.call('ZMSCORE', leases, unpack(given, from, to))) do
      local id = given[from + i - 1]
      if score and tonumber(score) >= WAITING then
        waiting[id], count = true, count + 1
      elseif score then
        stay[id] = true
      end
    end
  end
  if count > FEW then
    local rest = {}
    for _, id in ipairs(redis.call('LRANGE', ready, 0, -1)) do
      if waiting[id] then taken[id] = true else rest[#rest + 1] = id end
    end
    redis.call('DEL', ready)
    for from = 1, #rest, CHUNK do
      redis.call('RPUSH', ready, unpack(rest, from, math.min(from + CHUNK - 1, #rest)))
    end
  else
    for id in pairs(waiting) do
      if redis.call('LREM', ready, 1, id) > 0 then taken[id] = true end
    end
  end
  for id in pairs(waiting) do
    if not taken[id] then stay[id] = true end
  end
  return taken, stay
end

local taken, stay = {}, {}
if mode == 'place' then
  taken, stay = take_out()
  local reading = redis.call('HGET', readings, 'n')
  if reading then redis.call('HSET', readings, 'placed', reading) end
end
for i = FIRST_ID, #ARGV, 2 do
  local id, score = ARGV[i], ARGV[i + 1]
  local in_front = score == '-'
  if in_front then score = first end
  if stay[id] then
    doubles = doubles + 1
  elseif not in_front and tonumber(score) >= reach then
    note_refused(tonumber(score))
    overflowed = overflowed + 1
    if taken[id] then redis.call('ZREM', leases, id) end
    if mode == 'return' then
      redis.call('LREM', claimed, 1, id)
      redis.call('ZREM', leases, id)
    end
  elseif mode == 'return' and waits(id) or mode == 'new' and redis.call('ZADD', leases, 'NX', score, id) == 0 then
    doubles = doubles + 1
  else
    if mode ~= 'new' then redis.call('ZADD', leases, score, id) end
    -- An id that is named twice is moved once.
    if mode == 'place' then stay[id] = true end
    if in_front then
      front[#front + 1] = id
    else
      ids[#ids + 1], scores[#scores + 1] = id, tonumber(score)
    end
  end
end

local function append(list)
  for from = 1, #list, CHUNK do
    redis.call('RPUSH', ready, unpack(list, from, math.min(from + CHUNK - 1, #list)))
  end
end

-- Whether a hint with this score belongs before a waiting hint with that score. With the same score, the older hint is first:
-- a hint that is given back has waited before.
local function is_before(score, waiting)
  return score < waiting or score == waiting and mode == 'return'
end

local function insert(id, score)
  local low, high = 0, redis.call('LLEN', ready)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if is_before(score, score_at(middle)) then high = middle else low = middle + 1 end
  end
  local follower = redis.call('LINDEX', ready, low)
  if follower then redis.call('LINSERT', ready, 'BEFORE', follower, id) else redis.call('RPUSH', ready, id) end
end

-- Merges the hints with the waiting ones. Both are in order.
local function merge()
  local waiting, merged, nth = redis.call('LRANGE', ready, 0, -1), {}, 1
  for from = 1, #waiting, CHUNK do
    local held = redis.call('ZMSCORE', leases, unpack(waiting, from, math.min(from + CHUNK - 1, #waiting)))
    for i, score in ipairs(held) do
      while nth <= #ids and is_before(scores[nth], tonumber(score or WAITING)) do
        merged[#merged + 1] = ids[nth]
        nth = nth + 1
      end
      merged[#merged + 1] = waiting[from + i - 1]
    end
  end
  for i = nth, #ids do merged[#merged + 1] = ids[i] end
  redis.call('DEL', ready)
  append(merged)
end

local last = #ids > 0 and score_at(-1)
local are_last = not last or not is_before(scores[1], last)
-- If the head holds the whole line, a fill drops no hint from its end, so a plain push makes no note.
if not are_last or set[2] then note_kept(ids) end
if are_last then
  append(ids)
elseif #ids > FEW then
  merge()
else
  -- Hints with the same score keep their order.
  local from, to, step = 1, #ids, 1
  if mode == 'return' then from, to, step = #ids, 1, -1 end
  for i = from, to, step do insert(ids[i], scores[i]) end
end
-- LPUSH reverses the order of its arguments: push one by one, from the last to the first.
for i = #front, 1, -1 do redis.call('LPUSH', ready, front[i]) end
note_kept(front)

local pushed = #ids + #front
local excess = pushed > 0 and redis.call('LLEN', ready) - bound or 0
if excess > 0 then
  redis.call('DEL', filled)
  while excess > 0 do
    local count = math.min(excess, CHUNK)
    reach = math.min(reach, score_at(-count))
    local fallen = redis.call('RPOP', ready, count)
    redis.call('ZREM', leases, unpack(fallen))
    overflowed, excess = overflowed + count, excess - count
  end
  note_refused(reach)
  redis.call('HSET', flags, 'overflow', string.format('%.0f', reach))
end
if pushed > 0 then ring() end
return {pushed, doubles, overflowed, 0}
