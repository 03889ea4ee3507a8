#!lua
-- Put one delivery into a lane again, taking it out of the dead ones if it is there.
-- KEYS: 1 lanes, 2 ready, 3 dead, 4 references
-- ARGV: 1 the source's prefix, 2 endpoint, 3 reference, 4 events in a bucket, 5 wake channel, 6 source uid
-- RETURNS: 1 when it was among the dead, else 0
-- ATOMIC BECAUSE the event must be kept as long as any delivery of it has not ended.
local lanes, ready, dead, references = unpack(KEYS)
local prefix, endpoint, reference, bucket_size, channel, uid = unpack(ARGV)
local number = string.match(reference, '^%d+')
local was_dead = 0
local cursor = '0'
repeat
  local page = redis.call('ZSCAN', dead, cursor, 'MATCH', endpoint .. ' ' .. number .. ':*', 'COUNT', 1000)
  cursor = page[1]
  for i = 1, #page[2], 2 do
    redis.call('ZREM', dead, page[2][i])
    was_dead = was_dead + 1
  end
until cursor == '0'
redis.call('HINCRBY', references, math.floor(tonumber(number) / bucket_size), 1 - was_dead)
redis.call('RPUSH', prefix .. 'lane:' .. endpoint, reference)
if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then redis.call('RPUSH', ready, endpoint) end
redis.call('PUBLISH', channel, uid)
return was_dead
