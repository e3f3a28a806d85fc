-- take: takes hints from the head and leases them to a worker for the hand-off.
--
-- KEYS  1 ready   2 claimed   3 leases   4 flags   5 asides   6 bell   7… the aside lists of the kinds that the worker
--       serves
-- ARGV  1 bound of `ready`
--       2 lease in ms
--       3 limit: the maximum number of hints to take from the lists
--       4… the kinds of KEYS[7…], in the same order
--       then ids that a BLMOVE of this worker moved to `claimed`: they are leased too. An id that is no longer in `claimed`
--       is skipped: another process has adopted it.
-- Returns {paused, low, {leased ids: from `claimed`, then from the lists in the order of the line}, {kinds that still have
--         hints aside}}
--   paused  1 if the queue is paused: nothing was taken, and the given ids that were in `claimed` are forgotten
--   low     1 if `ready` has less than half of its bound while the line is longer: time for a fill
-- Rings the bell if hints remain in `ready`.
-- Cost  O(log members) per id; while served kinds have hints aside: also O(their number) per id

local ready, claimed, leases, flags, asides, bell = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local bound, lease_ms, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local FIRST_LIST, FIRST_KIND = 7, 4
local FIRST_ADOPTED = FIRST_KIND + #KEYS - FIRST_LIST + 1
-- Maximum number of ids of one call, two arguments each. Lua's `unpack` fails at about 8,000.
local CHUNK = 1000
-- Longer than a worker that found nothing needs until it waits for the bell.
local BELL_KEPT_MS = 10000

-- Wakes one worker that waits for the bell, or the next one that will. The woken worker then takes hints itself.
local function ring()
  if redis.call('EXISTS', bell) == 0 then
    redis.call('RPUSH', bell, 1)
    redis.call('PEXPIRE', bell, BELL_KEPT_MS)
  end
end

local taken = {}
for i = FIRST_ADOPTED, #ARGV do
  if redis.call('LREM', claimed, 1, ARGV[i]) == 1 then taken[#taken + 1] = ARGV[i] end
end

if redis.call('HEXISTS', flags, 'paused') == 1 then
  for _, id in ipairs(taken) do redis.call('ZREM', leases, id) end
  return {1, 0, {}, {}}
end

local function pop(list, count)
  while count > 0 do
    local ids = redis.call('LPOP', list, math.min(count, CHUNK))
    if not ids then return end
    for _, id in ipairs(ids) do taken[#taken + 1] = id end
    limit, count = limit - #ids, count - #ids
  end
end

-- The score of the first hint of a list; nil if the list is empty. A hint without a known position counts as the first.
local function first_score(list)
  local id = redis.call('LINDEX', list, 0)
  if not id then return nil end
  local score = tonumber(redis.call('ZSCORE', leases, id) or 0)
  return score < math.huge and score or 0
end

local aside, lists = {}, {}
for _, kind in ipairs(redis.call('SMEMBERS', asides)) do aside[kind] = true end
if next(aside) then
  for i = FIRST_LIST, #KEYS do
    if aside[ARGV[FIRST_KIND + i - FIRST_LIST]] then lists[KEYS[i]] = first_score(KEYS[i]) end
  end
  local waits = next(lists) and first_score(ready)
  -- Hints aside one by one, each time from the list whose first hint comes first in the line. One of them is before `ready`
  -- if both have the same score: it has been taken once.
  while limit > 0 and next(lists) do
    local list, score = nil, waits or math.huge
    for one, its in pairs(lists) do
      if its <= score then list, score = one, its end
    end
    pop(list or ready, 1)
    if list then lists[list] = first_score(list) else waits = first_score(ready) end
  end
  for i = FIRST_LIST, #KEYS do
    local kind = ARGV[FIRST_KIND + i - FIRST_LIST]
    if aside[kind] and redis.call('EXISTS', KEYS[i]) == 0 then
      redis.call('SREM', asides, kind)
      aside[kind] = nil
    end
  end
end
pop(ready, limit)

local now = redis.call('TIME')
-- As text: Redis would convert a number again for each id.
local deadline = string.format('%.0f', now[1] * 1000 + math.floor(now[2] / 1000) + lease_ms)
for first = 1, #taken, CHUNK do
  local scored = {}
  for i = first, math.min(first + CHUNK - 1, #taken) do
    scored[#scored + 1] = deadline
    scored[#scored + 1] = taken[i]
  end
  redis.call('ZADD', leases, unpack(scored))
end

local low, left = 0, redis.call('LLEN', ready)
if left > 0 then ring() end
if left * 2 < bound and redis.call('HEXISTS', flags, 'overflow') == 1 then low = 1 end

local left_aside = {}
for kind in pairs(aside) do left_aside[#left_aside + 1] = kind end
return {0, low, taken, left_aside}
