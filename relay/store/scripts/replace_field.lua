#!lua flags=allow-oom
-- Put another value in the place of one in a hash.
-- KEYS: 1 hash
-- ARGV: 1 field, 2 the value that is there, 3 the one to put there
-- RETURNS: 1, or 0 when another value is there
-- ATOMIC BECAUSE the field may have got another value since it was read.
local hash, field = KEYS[1], ARGV[1]
if redis.call('HGET', hash, field) ~= ARGV[2] then return 0 end
redis.call('HSET', hash, field, ARGV[3])
return 1
