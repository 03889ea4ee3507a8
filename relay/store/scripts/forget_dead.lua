#!lua flags=allow-oom
-- Forget deliveries that were given up before a time.
-- KEYS: 1 dead, 2 references
-- ARGV: 1 time in ms, 2 how many at most, 3 events in a bucket
-- RETURNS: how many were forgotten
-- ATOMIC BECAUSE the count of deliveries that keep an event alive must match what is there.
local dead, references = KEYS[1], KEYS[2]
local before, most, bucket_size = ARGV[1], ARGV[2], tonumber(ARGV[3])
local members = redis.call('ZRANGEBYSCORE', dead, '-inf', '(' .. before, 'LIMIT', 0, most)
for _, member in ipairs(members) do
  local number = string.match(member, '^%S+ %a(%d+)')
  redis.call('HINCRBY', references, math.floor(tonumber(number) / bucket_size), -1)
  redis.call('ZREM', dead, member)
end
return #members
