#!lua flags=allow-oom
-- Write fields of a route's state, and give it its first cursor if it has none.
-- KEYS: 1 fence, 2 sequence, 3 route, 4 trail
-- ARGV: 1 fencing token, 2 the sequence that the poller knows, 3 now in ms, 4 first cursor or '', then fields and values
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over) or 'astray' (the store is not
--   where the poller left it)
-- ATOMIC BECAUSE another poller may take over between the look and the write.
local fence, sequence, route, trail = unpack(KEYS)
local token, known, now, cursor = unpack(ARGV, 1, 4)
if redis.call('GET', fence) ~= token then return 'fenced' end
if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
if cursor ~= '' and redis.call('HSETNX', route, 'cursor', cursor) == 1 then redis.call('ZADD', trail, now, cursor) end
if #ARGV > 4 then redis.call('HSET', route, unpack(ARGV, 5)) end
return 'ok'
