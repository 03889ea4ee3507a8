#!lua flags=allow-oom
-- Forget deliveries of deleted endpoints that wait for their next try, or were given up.
-- KEYS: 1 due or dead (zset), 2 references, 3 owed
-- ARGV: 1 the source's prefix, 2 events in a bucket, then members, 1,000 at most
-- RETURNS: how many were still there
-- ATOMIC BECAUSE the count of deliveries that keep an event alive must match what is there.
local place, references, owed = KEYS[1], KEYS[2], KEYS[3]
local prefix, bucket_size = ARGV[1], tonumber(ARGV[2])
local ended, bytes, dropped = {}, {}, 0
for i = 3, #ARGV do
  if redis.call('ZREM', place, ARGV[i]) == 1 then
    local endpoint, number = string.match(ARGV[i], '^(%S+) %a(%d+)')
    if number then
      local bucket = math.floor(tonumber(number) / bucket_size)
      ended[bucket] = (ended[bucket] or 0) + 1
      bytes[endpoint] = (bytes[endpoint] or 0) + redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
    end
    dropped = dropped + 1
  end
end
for bucket, number in pairs(ended) do redis.call('HINCRBY', references, bucket, 0 - number) end
for endpoint, size in pairs(bytes) do redis.call('HINCRBY', owed, endpoint, 0 - size) end
return dropped
