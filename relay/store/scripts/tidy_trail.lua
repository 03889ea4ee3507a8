#!lua flags=allow-oom
-- Shorten a route's trail, and correct the times of some of its cursors.
-- KEYS: 1 fence, 2 sequence, 3 trail
-- ARGV: 1 fencing token, 2 the sequence that the poller knows, 3 how many cursors leave, these cursors, then ms and
--   cursors that get other times
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over) or 'astray' (the store is not
--   where the poller left it)
-- ATOMIC BECAUSE an operator may move the cursor after the poller's look, which begins another trail.
local fence, sequence, trail = unpack(KEYS)
local token, known, leaving = unpack(ARGV, 1, 3)
if redis.call('GET', fence) ~= token then return 'fenced' end
if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
local last = 3 + tonumber(leaving)
if last > 3 then redis.call('ZREM', trail, unpack(ARGV, 4, last)) end
for at = last + 1, #ARGV, 2 do
  redis.call('ZADD', trail, ARGV[at], ARGV[at + 1])
end
return 'ok'
