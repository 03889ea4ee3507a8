#!lua flags=no-writes
-- How many deliveries of a source have not ended, in all and for some endpoints, and the oldest one of each endpoint.
-- KEYS: 1 references, 2 due, 3 dead
-- ARGV: 1 the source's prefix, 2 the index of the first retry to look at, 3 how many, then endpoints
-- RETURNS: {deliveries that have not ended, those that wait for a retry, dead ones, {the member of due with the oldest
--   event of each endpoint that has some of these retries}, for each endpoint {in its lane,
--   in flight, in its list of replays, the reference of the oldest event in the first two or ''}}
-- ATOMIC BECAUSE a delivery that moves between two looks would count twice, or not at all.
local references, due, dead = unpack(KEYS, 1, 3)
local prefix = ARGV[1]
local total = 0
-- What is no number is damage, and counts as nothing.
for _, count in ipairs(redis.call('HVALS', references)) do total = total + (tonumber(count) or 0) end
-- Of a retry whose member is damaged, nobody knows the endpoint or the event.
local retries, leasts = {}, {}
local window = {}
if tonumber(ARGV[3]) > 0 then window = redis.call('ZRANGE', due, ARGV[2], ARGV[2] + ARGV[3] - 1) end
for _, member in ipairs(window) do
  local endpoint, digits = string.match(member, '^(%S+) %l(%d+)')
  local number, least = tonumber(digits), leasts[endpoint or '']
  if number and (not least or number < least) then retries[endpoint], leasts[endpoint] = member, number end
end
local oldest_retries = {}
for _, member in pairs(retries) do oldest_retries[#oldest_retries + 1] = member end
local answer = { total, redis.call('ZCARD', due), redis.call('ZCARD', dead), oldest_retries }
for i = 4, #ARGV do
  local lane = prefix .. 'lane:' .. ARGV[i]
  local oldest = redis.call('LINDEX', lane, 0) or ''
  local least = tonumber(string.match(oldest, '^%l(%d+)'))
  local flying = redis.call('SMEMBERS', prefix .. 'flight:' .. ARGV[i])
  for _, reference in ipairs(flying) do
    local number = tonumber(string.match(reference, '^%l(%d+)'))
    if number and (not least or number < least) then oldest, least = reference, number end
  end
  answer[#answer + 1] = {
    redis.call('LLEN', lane), #flying, redis.call('LLEN', prefix .. 'replays:' .. ARGV[i]), oldest,
  }
end
return answer
