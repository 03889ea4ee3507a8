#!lua flags=allow-oom
-- Write fields of a route's state by hand.
-- KEYS: 1 fence, 2 sequence, 3 route
-- ARGV: fields and values
-- RETURNS: 'ok', or without having changed anything 'closed' (the source is being deleted)
-- The sequence is counted on, so that a poller at work is astray, and begins with what is there now.
-- ATOMIC BECAUSE a poller that writes between the fields and the sequence would take them for its own.
local fence, sequence, route = unpack(KEYS)
if string.sub(redis.call('GET', fence) or '0', 1, 1) == '-' then return 'closed' end
redis.call('HSET', route, unpack(ARGV))
redis.call('INCR', sequence)
return 'ok'
