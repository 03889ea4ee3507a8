#!lua flags=allow-oom
-- Let a parked lane go on at once: its endpoint was enabled, resumed or mended.
-- KEYS: 1 lanes, 2 ready, 3 parked
-- ARGV: 1 the source's prefix, 2 endpoint, 3 wake channel, 4 source uid
-- RETURNS: 1, or 0 when it is not parked
-- ATOMIC BECAUSE a lane must be in exactly one state.
local lanes, ready, parked = unpack(KEYS)
local prefix, endpoint, channel, uid = unpack(ARGV)
if redis.call('HGET', lanes, endpoint) ~= 'p' then return 0 end
redis.call('ZREM', parked, endpoint)
if redis.call('EXISTS', prefix .. 'lane:' .. endpoint, prefix .. 'replays:' .. endpoint) > 0 then
  redis.call('HSET', lanes, endpoint, 'r')
  redis.call('RPUSH', ready, endpoint)
  redis.call('PUBLISH', channel, uid)
else
  redis.call('HDEL', lanes, endpoint)
end
return 1
