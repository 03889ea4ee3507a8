#!lua flags=no-writes
-- How many deliveries of a source have not ended, in all and for some endpoints, and the oldest one of each endpoint.
-- KEYS: 1 references, 2 due, 3 dead
-- ARGV: 1 the source's prefix, then endpoints
-- RETURNS: {deliveries that have not ended, those that wait for a retry, dead ones, for each endpoint {in its lane,
--   in flight, in its list of replays, the reference of the oldest event in the first two or ''}}
-- ATOMIC BECAUSE a delivery that moves between two looks would count twice, or not at all.
local references, due, dead = unpack(KEYS, 1, 3)
local prefix = ARGV[1]
local total = 0
-- What is no number is damage, and counts as nothing.
for _, count in ipairs(redis.call('HVALS', references)) do total = total + (tonumber(count) or 0) end
local answer = { total, redis.call('ZCARD', due), redis.call('ZCARD', dead) }
for i = 2, #ARGV do
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
