#!lua
-- Keep events of a bucket condensed, before they are forgotten.
-- KEYS: 1 events of the bucket, 2 past events of the bucket, 3 past_buckets
-- ARGV: 1 bucket, 2 its entry in past_buckets, then places and pieces
-- RETURNS: 1, or 0 when the bucket is gone
-- ATOMIC BECAUSE a source that was deleted has no events: none of its keys must come back.
local events, past, buckets = KEYS[1], KEYS[2], KEYS[3]
if redis.call('EXISTS', events) == 0 then return 0 end
redis.call('HSET', past, unpack(ARGV, 3))
redis.call('HSET', buckets, ARGV[1], ARGV[2])
return 1
