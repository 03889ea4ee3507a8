#!lua flags=allow-oom
-- Make ready what waited for a time that has come: due retries, parked lanes, and lanes of sessions that died.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 due, 5 parked
-- ARGV: 1 the source's prefix, 2 now in ms, 3 how many retries and lanes at most
-- RETURNS: {ready lanes, ms of the next thing to come or '', number of retries made ready, lanes taken from the dead}
-- ATOMIC BECAUSE a delivery must be in exactly one place, and a lane in exactly one state.
-- A reference that was in flight when its session died comes back with its count of crashes one higher
-- (number:type:try:crashes), for one that kills its worker again and again must be told from the others.
local lanes, ready, sessions, due, parked = unpack(KEYS)
local prefix, now, most = ARGV[1], ARGV[2], tonumber(ARGV[3])
local retries, reclaimed = 0, 0

local function wake(endpoint)
  redis.call('HSET', lanes, endpoint, 'r')
  redis.call('RPUSH', ready, endpoint)
end

local members = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)
for i = #members, 1, -1 do -- Pushed to the head newest first, so that the oldest ends up there.
  local endpoint, reference = string.match(members[i], '^(%S+) (%S+)$')
  redis.call('ZREM', due, members[i])
  redis.call('LPUSH', prefix .. 'lane:' .. endpoint, reference)
  if redis.call('HEXISTS', lanes, endpoint) == 0 then wake(endpoint) end
  retries = retries + 1
end

for _, endpoint in ipairs(redis.call('ZRANGEBYSCORE', parked, '-inf', now, 'LIMIT', 0, most)) do
  redis.call('ZREM', parked, endpoint)
  if redis.call('HGET', lanes, endpoint) == 'p' then
    if redis.call('EXISTS', prefix .. 'lane:' .. endpoint) == 1 then
      wake(endpoint)
    else
      redis.call('HDEL', lanes, endpoint)
    end
  end
end

local function number_of(reference) return tonumber(string.match(reference, '^%d+')) end
local function crashed(reference)
  local number, type, try, crashes = string.match(reference, '^(%d+):(%d+):?(%d*):?(%d*)$')
  if try == '' then try = '1' end
  return number .. ':' .. type .. ':' .. try .. ':' .. (tonumber(crashes) or 0) + 1
end
local time = redis.call('TIME') -- Sessions live by the server's clock.
local gone = redis.call('ZRANGEBYSCORE', sessions, '-inf', time[1] * 1000 + math.floor(time[2] / 1000))
if #gone > 0 then
  local is_gone = {}
  for _, session in ipairs(gone) do is_gone[session] = true end
  local held = redis.call('HGETALL', lanes)
  for i = 1, #held, 2 do
    if is_gone[held[i + 1]] then
      local endpoint = held[i]
      local flight = prefix .. 'flight:' .. endpoint
      local references = redis.call('SMEMBERS', flight)
      table.sort(references, function(a, b) return number_of(a) > number_of(b) end)
      for _, reference in ipairs(references) do
        redis.call('LPUSH', prefix .. 'lane:' .. endpoint, crashed(reference))
      end
      redis.call('DEL', flight)
      wake(endpoint)
      reclaimed = reclaimed + 1
    end
  end
  redis.call('ZREM', sessions, unpack(gone))
end

local next_ms = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or ''
local unpark_ms = redis.call('ZRANGE', parked, 0, 0, 'WITHSCORES')[2] or ''
if next_ms == '' or (unpark_ms ~= '' and tonumber(unpark_ms) < tonumber(next_ms)) then next_ms = unpark_ms end
return {redis.call('LLEN', ready), next_ms, retries, reclaimed}
