-- sweep: makes the lists and the waiting members of `leases` agree again. They disagree after somebody deleted a key by hand,
-- or after one worker renewed or acked a job whose hint was waiting for another worker.
--
-- KEYS  1 leases   2 asides   3 claimed   4 ready   5… the aside lists
-- ARGV  1 force: 1 to compare id by id even if the counts agree
--       2… the kinds of KEYS[5…], in the same order
-- Returns {orphans, readmitted, dropped}
--   orphans     waited and were in no list: removed, so that a fill can bring them back
--   readmitted  were in a list and not in `leases`: they wait now, at the position of the hint before them
--   dropped     removed from a list: the second mention of an id, or a leased job
-- Cost  O(kinds aside + log members) if the counts agree, else O(waiting hints)
--
-- Does nothing if KEYS does not name every aside list: a list was made after the caller read their names.

local leases, asides, claimed, ready = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local force = ARGV[1] == '1'
local FIRST_LIST, FIRST_ASIDE, FIRST_KIND = 3, 5, 2
-- Scores from here on are positions of waiting hints.
local WAITING = '2251799813685248' -- 2^51
-- Maximum number of arguments of one call. Lua's `unpack` fails at about 8,000.
local CHUNK = 1000

for i = FIRST_ASIDE, #KEYS do
  if redis.call('EXISTS', KEYS[i]) == 0 then redis.call('SREM', asides, ARGV[FIRST_KIND + i - FIRST_ASIDE]) end
end
local named = {}
for i = FIRST_KIND, #ARGV do named[ARGV[i]] = true end
for _, kind in ipairs(redis.call('SMEMBERS', asides)) do
  if not named[kind] then return {0, 0, 0} end
end

local listed = 0
for i = FIRST_LIST, #KEYS do listed = listed + redis.call('LLEN', KEYS[i]) end
if not force and listed == redis.call('ZCOUNT', leases, WAITING, '+inf') then return {0, 0, 0} end

local seen, readmitted, dropped = {}, 0, 0
for i = FIRST_LIST, #KEYS do
  local list = KEYS[i]
  local ids, kept, before = redis.call('LRANGE', list, 0, -1), {}, WAITING
  for _, id in ipairs(ids) do
    local score = redis.call('ZSCORE', leases, id)
    -- A leased hint in `claimed` is left for `adopt`.
    local waits = score and tonumber(score) >= tonumber(WAITING)
    if not seen[id] and (not score or waits or list == claimed) then
      seen[id] = true
      kept[#kept + 1] = id
      if waits then before = score end
      if not score then
        redis.call('ZADD', leases, before, id)
        readmitted = readmitted + 1
      end
    end
  end
  if #kept < #ids then
    dropped = dropped + #ids - #kept
    redis.call('DEL', list)
    for first = 1, #kept, CHUNK do
      redis.call('RPUSH', list, unpack(kept, first, math.min(first + CHUNK - 1, #kept)))
    end
  end
end

local orphans = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, WAITING, '+inf')) do
  if not seen[id] then
    redis.call('ZREM', leases, id)
    orphans = orphans + 1
  end
end
return {orphans, readmitted, dropped}
