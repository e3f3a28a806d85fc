-- sweep: makes the lists and the set of waiting hints agree, whatever happened to either. In use they do; what brings
-- them apart is a key deleted by hand, or one worker renewing or acking a job while its hint waits for another.
--
-- KEYS  1 leases   2 asides   3 claimed   4 ready   5… the aside lists
-- ARGV  1 force: 1 to compare id by id even if the numbers agree
--       2… the kinds of KEYS[5…], in the same order
-- Returns {orphans, readmitted, dropped}
--   orphans     waiting in no list: forgotten, so that a fill can bring them back
--   readmitted  in a list and not known: now they wait
--   dropped     taken out of a list: a second mention of an id, or a job that is leased
-- Cost  O(kinds aside + log members) when the numbers agree; else O(hints that wait)
--
-- Does nothing if KEYS does not name every aside list: one came up since the caller looked.

local leases, asides, claimed, ready = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local force = ARGV[1] == '1'
local FIRST_LIST, FIRST_ASIDE, FIRST_KIND = 3, 5, 2
-- Arguments of one call; Lua's `unpack` gives up at some 8,000.
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
if not force and listed == redis.call('ZCOUNT', leases, '+inf', '+inf') then return {0, 0, 0} end

local seen, readmitted, dropped = {}, 0, 0
for i = FIRST_LIST, #KEYS do
  local list = KEYS[i]
  local ids, kept = redis.call('LRANGE', list, 0, -1), {}
  for _, id in ipairs(ids) do
    local score = redis.call('ZSCORE', leases, id)
    -- What lies in `claimed` with a lease is left for `adopt`.
    if not seen[id] and (not score or score == 'inf' or list == claimed) then
      seen[id] = true
      kept[#kept + 1] = id
      if not score then
        redis.call('ZADD', leases, '+inf', id)
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
for _, id in ipairs(redis.call('ZRANGEBYSCORE', leases, '+inf', '+inf')) do
  if not seen[id] then
    redis.call('ZREM', leases, id)
    orphans = orphans + 1
  end
end
return {orphans, readmitted, dropped}
