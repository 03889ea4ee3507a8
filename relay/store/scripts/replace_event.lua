#!lua flags=allow-oom
-- Put other bytes in the place of an event, as many as there were, and tell the workers that may have it in memory.
-- KEYS: 1 events of the bucket
-- ARGV: 1 number, 2 the bytes that are there, 3 those to put there, 4 channel, 5 source
-- RETURNS: 1, or 0 when other bytes are there
-- ATOMIC BECAUSE the number may have been given to another event since it was read.
local events, number = KEYS[1], ARGV[1]
if redis.call('HGET', events, number) ~= ARGV[2] then return 0 end
redis.call('HSET', events, number, ARGV[3])
redis.call('PUBLISH', ARGV[4], ARGV[5])
return 1
