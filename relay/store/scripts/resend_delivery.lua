#!lua
-- Put one delivery into a lane again, taking out of the dead ones what is known of it there.
-- KEYS: 1 lanes, 2 ready, 3 dead, 4 references
-- ARGV: 1 the source's prefix, 2 endpoint, 3 reference, 4 events in a bucket, 5 wake channel, 6 source uid,
--   then members of the dead ones
-- RETURNS: how many of them were still there
-- ATOMIC BECAUSE the event must be kept as long as any delivery of it has not ended.
local lanes, ready, dead, references = unpack(KEYS)
local prefix, endpoint, reference, bucket_size, channel, uid = unpack(ARGV, 1, 6)
local number = string.match(reference, '^%a(%d+)')
local was_dead = #ARGV > 6 and redis.call('ZREM', dead, unpack(ARGV, 7)) or 0
redis.call('HINCRBY', references, math.floor(tonumber(number) / bucket_size), 1 - was_dead)
redis.call('RPUSH', prefix .. 'lane:' .. endpoint, reference)
if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then redis.call('RPUSH', ready, endpoint) end
redis.call('PUBLISH', channel, uid)
return was_dead
