#!lua flags=allow-oom
-- Drop a bucket of attempts from the log, and its bytes from the count.
-- KEYS: 1 attempt buckets, 2 attempt sizes
-- ARGV: 1 the source's prefix, 2 bucket
-- RETURNS: the bytes that were dropped; 0 when another worker did it before
-- ATOMIC BECAUSE two workers that shed the same bucket must not count it twice.
local buckets, sizes = KEYS[1], KEYS[2]
local prefix, bucket = ARGV[1], ARGV[2]
if redis.call('ZREM', buckets, bucket) == 0 then return 0 end
local bytes = tonumber(redis.call('HGET', sizes, bucket) or '0')
redis.call('UNLINK', prefix .. 'attempts:' .. bucket)
redis.call('HDEL', sizes, bucket)
redis.call('HINCRBY', sizes, 'total', -bytes)
return bytes
