-- renew: says until when members of a set hold: the leases of running jobs and of parked hints, or what workers announce of
-- themselves.
--
-- KEYS  1 a sorted set of deadlines
-- ARGV  1 ms from now
--       2 what to do with members whose deadline has passed: `keep` them (a lease that ran out is the reaper's to look
--         at) or `drop` them (a worker that stopped announcing itself is gone). `held` keeps them, and sets the deadline
--         only of those members that have one now: a hint that has gone back to the head meanwhile waits there
--       3… members, known or not
-- Returns how many of them were not there before
-- Cost  O(log members) for each one set or dropped

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
-- As text: a number would be made one for each member.
local deadline = string.format('%.0f', now_ms + tonumber(ARGV[1]))
local FIRST_MEMBER = 3
-- Members of one call; Lua's `unpack` gives up at some 8,000 arguments, and each has two.
local CHUNK = 1000

local added = 0
for first = FIRST_MEMBER, #ARGV, CHUNK do
  local last = math.min(first + CHUNK - 1, #ARGV)
  local scored, now_held = {}, {}
  if ARGV[2] == 'held' then now_held = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, first, last)) end
  for i = first, last do
    local score = now_held[i - first + 1]
    if ARGV[2] ~= 'held' or (score and score ~= 'inf') then
      scored[#scored + 1] = deadline
      scored[#scored + 1] = ARGV[i]
    end
  end
  if #scored > 0 then added = added + redis.call('ZADD', KEYS[1], unpack(scored)) end
end
if ARGV[2] == 'drop' then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms) end
return added
