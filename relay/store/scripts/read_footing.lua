#!lua flags=no-writes
-- Read what a poll slice begins with.
-- KEYS: 1 readings, 2 backfills, then the routes, then their trails
-- ARGV: 1 how many routes, 2 how many trails, 3 entries of a trail at most
-- RETURNS: {readings, backfills, {state of each route}, {trail of each route}}, as HGETALL, HVALS and ZRANGE give them
-- ATOMIC BECAUSE one call costs a poller a fifth of what a dozen commands cost.
local routes, trails, most = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local states, trail = {}, {}
for at = 3, 2 + routes do states[#states + 1] = redis.call('HGETALL', KEYS[at]) end
for at = 3 + routes, 2 + routes + trails do
  trail[#trail + 1] = redis.call('ZRANGE', KEYS[at], 0, most - 1, 'WITHSCORES')
end
return {redis.call('HGETALL', KEYS[1]), redis.call('HVALS', KEYS[2]), states, trail}
