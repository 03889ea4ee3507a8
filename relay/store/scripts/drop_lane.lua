#!lua flags=allow-oom
-- Forget all deliveries of a deleted endpoint: waiting, in flight, due and dead.
-- KEYS: 1 lanes, 2 ready, 3 due, 4 dead, 5 parked, 6 references
-- ARGV: 1 the source's prefix, 2 endpoint, 3 events in a bucket
-- RETURNS: the number of deliveries forgotten
-- ATOMIC BECAUSE the count of deliveries that keep an event alive must match what is there.
local lanes, ready, due, dead, parked, references = unpack(KEYS)
local prefix, endpoint, bucket_size = ARGV[1], ARGV[2], tonumber(ARGV[3])
local lane, flight = prefix .. 'lane:' .. endpoint, prefix .. 'flight:' .. endpoint
local ended, total = {}, 0
local function ends(reference)
  local bucket = math.floor(tonumber(string.match(reference, '^%a(%d+)')) / bucket_size)
  ended[bucket] = (ended[bucket] or 0) + 1
  total = total + 1
end
for _, reference in ipairs(redis.call('LRANGE', lane, 0, -1)) do ends(reference) end
for _, reference in ipairs(redis.call('SMEMBERS', flight)) do ends(reference) end
for _, key in ipairs({due, dead}) do
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local owner, reference = string.match(member, '^(%S+) (%S+)')
    if owner == endpoint then
      ends(reference)
      redis.call('ZREM', key, member)
    end
  end
end
local blocked = prefix .. 'blocked:' .. endpoint
for _, key in ipairs(redis.call('HKEYS', blocked)) do
  local waiting = prefix .. 'waiting:' .. endpoint .. ':' .. key
  for _, reference in ipairs(redis.call('LRANGE', waiting, 0, -1)) do ends(reference) end
  redis.call('DEL', waiting)
end
redis.call('DEL', blocked, lane, flight, prefix .. 'attempted:' .. endpoint)
redis.call('HDEL', lanes, endpoint)
redis.call('HDEL', prefix .. 'health', endpoint)
redis.call('ZREM', parked, endpoint)
redis.call('LREM', ready, 0, endpoint)
for bucket, number in pairs(ended) do redis.call('HINCRBY', references, bucket, -number) end
return total
