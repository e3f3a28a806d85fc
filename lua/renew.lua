-- renew: sets deadlines in a sorted set: of the leases of running jobs and parked hints, or of announcements of processes.
--
-- KEYS  1 a sorted set of deadlines
-- ARGV  1 the new deadline, in ms from now
--       2 mode: `keep`  members whose deadline has passed stay: the reaper looks at leases that ran out
--               `drop`  members whose deadline has passed are removed: a process that stopped its announcements is dead
--               `held` members whose deadline has passed stay, and only members that have a deadline get the new one: a
--                       hint that has gone back to the head in the meantime keeps waiting there
--       3… members, known or not
-- Returns how many of the members were new
-- Cost  O(log members) per member that is set or removed

local now = redis.call('TIME')
local now_ms = now[1] * 1000 + math.floor(now[2] / 1000)
-- As text: Redis would convert a number again for each member.
local deadline = string.format('%.0f', now_ms + tonumber(ARGV[1]))
local FIRST_MEMBER = 3
-- Scores from here on are positions of waiting hints.
local WAITING = 2 ^ 51
-- Maximum number of members of one call, two arguments each. Lua's `unpack` fails at about 8,000.
local CHUNK = 1000

local added = 0
for first = FIRST_MEMBER, #ARGV, CHUNK do
  local last = math.min(first + CHUNK - 1, #ARGV)
  local scored, now_held = {}, {}
  if ARGV[2] == 'held' then now_held = redis.call('ZMSCORE', KEYS[1], unpack(ARGV, first, last)) end
  for i = first, last do
    local score = now_held[i - first + 1]
    if ARGV[2] ~= 'held' or (score and tonumber(score) < WAITING) then
      scored[#scored + 1] = deadline
      scored[#scored + 1] = ARGV[i]
    end
  end
  if #scored > 0 then added = added + redis.call('ZADD', KEYS[1], unpack(scored)) end
end
if ARGV[2] == 'drop' then redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now_ms) end
return added
