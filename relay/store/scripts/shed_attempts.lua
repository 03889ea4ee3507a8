#!lua flags=allow-oom
-- Drop a bucket of attempts from the log, and its bytes from the count.
-- KEYS: 1 attempt buckets, 2 attempt sizes
-- ARGV: 1 the source's prefix, 2 bucket, 3 how many attempts of it were taken out of their endpoints' lists
-- RETURNS: the bytes that were dropped; 0 when another worker did it before; -1 when more attempts came meanwhile: they
--   must be taken out of the lists first
-- ATOMIC BECAUSE two workers that shed the same bucket must not count it twice.
local buckets, sizes = KEYS[1], KEYS[2]
local prefix, bucket, unlisted = ARGV[1], ARGV[2], tonumber(ARGV[3])
if redis.call('HLEN', prefix .. 'attempts:' .. bucket) > unlisted then return -1 end
if redis.call('ZREM', buckets, bucket) == 0 then return 0 end
local bytes = tonumber(redis.call('HGET', sizes, bucket) or '0') or 0
redis.call('UNLINK', prefix .. 'attempts:' .. bucket)
redis.call('HDEL', sizes, bucket)
if redis.call('EXISTS', buckets) == 0 then
  -- Whatever the count says, nothing is left.
  redis.call('DEL', sizes)
else
  redis.call('HINCRBY', sizes, 'total', 0 - bytes)
end
return bytes
