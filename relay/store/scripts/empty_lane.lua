#!lua flags=allow-oom
-- Forget some of the deliveries that wait in the lane of a deleted endpoint. Call it until it says that there are none;
-- then drop those that are due or dead (drop_deliveries.lua), then call it to finish.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 parked, 5 references, 6 owed, 7 blockers
-- ARGV: 1 the source's prefix, 2 endpoint, 3 deliveries at most, 4 events in a bucket, 5 '1': finish
-- RETURNS: 'held': a worker has the lane, which will let it go; 'more': there are more; 'empty'; 'gone': finished
-- ATOMIC BECAUSE the count of deliveries that keep an event alive must match what is there, and a lane is in one state.
-- A lane that is being emptied is parked for ever, so that nobody claims it.
local lanes, ready, sessions, parked, references, owed, blockers = unpack(KEYS)
local prefix, endpoint, left, bucket_size, finish = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5]
local EVER = '9007199254740991'

local state = redis.call('HGET', lanes, endpoint)
if state and state ~= 'r' and state ~= 'p' then
  local time = redis.call('TIME')
  local lives_until = tonumber(redis.call('ZSCORE', sessions, state) or '0')
  if lives_until > time[1] * 1000 + math.floor(time[2] / 1000) then return 'held' end
end
if state == 'r' then redis.call('LREM', ready, 0, endpoint) end
redis.call('HSET', lanes, endpoint, 'p')
redis.call('ZADD', parked, EVER, endpoint)

local ended, bytes = {}, 0
local function forget(taken)
  for _, reference in ipairs(taken or {}) do
    local number = string.match(reference, '^%a(%d+)')
    if number then
      local bucket = math.floor(tonumber(number) / bucket_size)
      ended[bucket] = (ended[bucket] or 0) + 1
      bytes = bytes + redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
    end
  end
  left = left - (taken and #taken or 0)
end
forget(redis.call('LPOP', prefix .. 'lane:' .. endpoint, left))
if left > 0 then forget(redis.call('LPOP', prefix .. 'replays:' .. endpoint, left)) end
if left > 0 then forget(redis.call('SPOP', prefix .. 'flight:' .. endpoint, left)) end
local blocked = prefix .. 'blocked:' .. endpoint
while left > 0 do
  local key = redis.call('HRANDFIELD', blocked)
  if not key then break end
  local waiting = prefix .. 'waiting:' .. endpoint .. ':' .. key
  forget(redis.call('LPOP', waiting, left))
  if redis.call('EXISTS', waiting) == 0 then redis.call('HDEL', blocked, key) end
  left = left - 1
end
for bucket, number in pairs(ended) do redis.call('HINCRBY', references, bucket, 0 - number) end
if bytes > 0 then redis.call('HINCRBY', owed, endpoint, 0 - bytes) end
if left <= 0 then return 'more' end
if finish ~= '1' then return 'empty' end
redis.call('UNLINK', prefix .. 'attempt_times:' .. endpoint, prefix .. 'dropped:' .. endpoint)
for _, name in ipairs({'tally_now:', 'tally:', 'tally_minutes:', 'tally_hours:'}) do redis.call('UNLINK', prefix .. name .. endpoint) end
redis.call('ZREM', prefix .. 'failing', endpoint)
redis.call('HDEL', prefix .. 'dropped_counts', endpoint)
redis.call('HDEL', lanes, endpoint)
redis.call('SREM', blockers, endpoint)
redis.call('SREM', prefix .. 'replaying', endpoint)
redis.call('HDEL', prefix .. 'holds', endpoint)
redis.call('HDEL', owed, endpoint)
redis.call('ZREM', parked, endpoint)
return 'gone'
