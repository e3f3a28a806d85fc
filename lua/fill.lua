-- fill: makes the head match the front of the line: inserts the ids that Redis does not hold, moves waiting hints whose
-- position has changed, and sorts a list that is out of order.
--
-- KEYS  1 ready   2 leases   3 flags   4 filled   5 bell   6 readings
-- ARGV  1 bound: the maximum length of `ready`
--       2 more: 1 if the line continues behind these ids
--       3 the position of the last of these ids in the line, or `-`
--       4 how long to keep that position, in ms
--       5 the number of the reading: `readings` counted it before the line was read; `-`: not counted
--       6… pairs, the next job first: an id of the front of the line, and its score in `leases` while it waits
-- Returns {pushed, held, paused}
--   pushed  inserted into `ready` and kept there
--   held    already waiting or leased in Redis
--   paused  1 if the queue is paused: nothing was done
-- Sets `overflow` to the position to which the head reaches afterwards if the line is longer, else deletes the field. Stores
-- the position of ARGV 3 in `filled` if the line continues behind it and Redis holds all ids before it, so that `extend` can
-- continue from there; otherwise deletes `filled`. If no id was missing, the position in `filled` stays, and so does
-- `overflow`: the head may reach further than these ids.
-- Hints that were not kept since the line was read may belong before some of these ids. The next fill handles such ids. If
-- there is no room, the first hints to be dropped are hints that do not belong to the front and came before the line was read.
-- If `push` has moved hints since the line was read, these ids may have old positions: no waiting hint is moved.
-- Rings the bell if it pushed any hint.
-- Cost  O(log members) per id, plus O(length of ready)

local ready, leases, flags, filled, bell, readings = unpack(KEYS)
local bound, more, place, kept_ms, reading = tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3], ARGV[4], ARGV[5]
local FIRST_ID = 6
-- Scores from here on are positions of waiting hints.
local WAITING = 2 ^ 51
-- The notes of a reading that are this long may lack ids: as in `push`.
local NOTED_BYTES = 64 * 37
-- How many readings later the notes of a reading are deleted. A reading lasts no longer than a few others.
local NOTES_KEPT = 100
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 500
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
if set[1] then return {0, 0, 1} end

-- Reads the notes that `push` has made since the line was read: the lowest position of a hint that it did not keep, because
-- the line may have more jobs from there on; the ids of hints that it put into the head; and whether the list of these ids is
-- complete.
local function noted()
  local now = redis.call('HGET', readings, 'n')
  if reading == '-' then return math.huge, {}, false end
  -- The notes of this reading were deleted, because it took too long.
  if not now or now - reading >= NOTES_KEPT then return tonumber(set[2] or '+inf'), {}, false end
  local lowest, kept, is_complete = math.huge, {}, true
  for n = tonumber(reading), tonumber(now) do
    local notes = redis.call('HMGET', readings, n, 'kept:' .. n)
    lowest = math.min(lowest, tonumber(notes[1] or '+inf'))
    for id in string.gmatch(notes[2] or '', '[^,]+') do kept[id] = true end
    if #(notes[2] or '') >= NOTED_BYTES then is_complete = false end
  end
  local old = reading - NOTES_KEPT
  redis.call('HDEL', readings, old, 'kept:' .. old)
  return lowest, kept, is_complete
end

-- The scores of some ids; false for an id that is not in `leases`.
local function scores_of(ids)
  local scores = {}
  for first = 1, #ids, CHUNK do
    local last = math.min(first + CHUNK - 1, #ids)
    for _, score in ipairs(redis.call('ZMSCORE', leases, unpack(ids, first, last))) do
      scores[#scores + 1] = score and tonumber(score)
    end
  end
  return scores
end

local function append(ids, count)
  for first = 1, count, CHUNK do
    redis.call('RPUSH', ready, unpack(ids, first, math.min(first + CHUNK - 1, count)))
  end
end

-- The ids of the front of the line: their scores, their order, which of them are missing, and which wait at a wrong position.
local front, wanted, nth_of, missing, moved = {}, {}, {}, {}, {}
local cut, came, are_all = noted()
local late = 0
-- The scores of the ids of the front that Redis holds.
local held = {}
for i = FIRST_ID, #ARGV, 2 do
  local id = ARGV[i]
  front[#front + 1] = id
  wanted[id], nth_of[id] = ARGV[i + 1], #front
end
for nth, score in ipairs(scores_of(front)) do
  local id = front[nth]
  held[id] = score or nil
  if not score and tonumber(wanted[id]) >= cut then
    late = late + 1
  elseif not score then
    missing[#missing + 1] = id
  elseif score >= WAITING and score ~= tonumber(wanted[id]) then
    moved[#moved + 1] = id
  end
end

if #moved > 0 and reading ~= '-' and tonumber(redis.call('HGET', readings, 'placed') or 0) >= tonumber(reading) then
  moved = {}
end

local function set_scores(ids, count)
  for first = 1, count, CHUNK do
    local scored = {}
    for i = first, math.min(first + CHUNK - 1, count) do
      scored[#scored + 1] = wanted[ids[i]]
      scored[#scored + 1] = ids[i]
    end
    redis.call('ZADD', leases, unpack(scored))
  end
end

-- All waiting hints and the missing ones, in order. Hints with the same score are in the order of the line: hints that do not
-- belong to its front come last.
local function merge()
  set_scores(moved, #moved)
  local waiting = redis.call('LRANGE', ready, 0, -1)
  local hints = {}
  for i, score in ipairs(scores_of(waiting)) do
    hints[i] = {id = waiting[i], score = score or WAITING, line = nth_of[waiting[i]] or math.huge, nth = i}
  end
  for i, id in ipairs(missing) do
    hints[#hints + 1] = {id = id, score = tonumber(wanted[id]), line = nth_of[id], nth = #waiting + i, is_new = true}
  end
  table.sort(hints, function(a, b)
    if a.score ~= b.score then return a.score < b.score end
    if a.line ~= b.line then return a.line < b.line end
    return a.nth < b.nth
  end)
  return hints
end

-- Chooses the hints that exceed the bound: first hints that do not belong to the front of the line, from the last to the
-- first. They were pushed while Redis had lost earlier hints, and would leave no room for the missing ids until a worker takes
-- them. Only hints that came since the line was read keep their positions.
local function excess_of(hints)
  local excess, dropped = #hints - bound, {}
  for pass = 1, 2 do
    for i = #hints, 1, -1 do
      if excess <= 0 then return dropped end
      if not dropped[i] and (pass == 2 or hints[i].line == math.huge and not came[hints[i].id]) then
        dropped[i] = true
        excess = excess - 1
      end
    end
  end
  return dropped
end

-- Whether the waiting hints are in the order of their positions.
local function are_sorted()
  local waiting, others = redis.call('LRANGE', ready, 0, -1), {}
  for _, id in ipairs(waiting) do
    if not held[id] then others[#others + 1] = id end
  end
  for i, score in ipairs(scores_of(others)) do held[others[i]] = score or WAITING end
  local before = -math.huge
  for _, id in ipairs(waiting) do
    if held[id] < before then return false end
    before = held[id]
  end
  return true
end

-- Whether the queue has no job at the place of a hint that is dropped: the line was read as far as there, without this job, and
-- the hint is older.
local function is_stale(hint, last_wanted)
  return hint.line == math.huge and hint.score <= last_wanted and set[2] and are_all and not came[hint.id]
end

-- The lowest position that is not kept.
local last_wanted = #front > 0 and tonumber(wanted[front[#front]]) or -math.huge
local dropped_from = (not more or cut <= last_wanted) and cut or math.huge
local pushed, length = 0, redis.call('LLEN', ready)
-- Whether all missing ids belong behind all waiting hints.
local in_order = true
if #missing > 0 and length > 0 then
  local last = redis.call('LINDEX', ready, -1)
  local score, first = scores_of({last})[1] or WAITING, tonumber(wanted[missing[1]])
  in_order = first > score or first == score and (nth_of[last] or math.huge) < nth_of[missing[1]]
end
local needs_order = #moved > 0 or not are_sorted()
if #missing > 0 and not needs_order and in_order and length + #missing <= bound then
  pushed = #missing
  set_scores(missing, pushed)
  append(missing, pushed)
elseif #missing > 0 or needs_order then
  local hints = merge()
  local dropped = #missing > 0 and excess_of(hints) or {}
  local kept, new = {}, {}
  for i, hint in ipairs(hints) do
    if not dropped[i] then
      kept[#kept + 1] = hint.id
      if hint.is_new then new[#new + 1] = hint.id end
    else
      if not is_stale(hint, last_wanted) then dropped_from = math.min(dropped_from, hint.score) end
      if not hint.is_new then redis.call('ZREM', leases, hint.id) end
    end
  end
  pushed = #new
  set_scores(new, pushed)
  redis.call('DEL', ready)
  append(kept, #kept)
end

local holds_all = dropped_from == math.huge
local reach = dropped_from
if more and #front > 0 then
  reach = math.min(reach, last_wanted)
  if pushed == 0 and holds_all then reach = math.max(reach, tonumber(set[2] or 0)) end
end
if more or not holds_all then
  redis.call('HSET', flags, 'overflow', reach < math.huge and string.format('%.0f', reach) or 1)
else
  redis.call('HDEL', flags, 'overflow')
end
if more and holds_all and place ~= '-' then
  if pushed > 0 or redis.call('PEXPIRE', filled, kept_ms) == 0 then redis.call('SET', filled, place, 'PX', kept_ms) end
else
  redis.call('DEL', filled)
end
if pushed > 0 then ring() end
return {pushed, #front - #missing - late, 0}
