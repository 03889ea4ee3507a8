#!lua flags=allow-oom
-- Forget deliveries that were dropped before a time.
-- KEYS: 1 counts of dropped ones
-- ARGV: 1 the source's prefix, 2 time in ms, 3 how many of an endpoint at most, then endpoints
-- RETURNS: how many were forgotten
-- ATOMIC BECAUSE an endpoint's count must stand as long as its list: it is what leads to that.
local counts = KEYS[1]
local prefix, before, most = ARGV[1], ARGV[2], ARGV[3]
local forgotten = 0
for i = 4, #ARGV do
  local dropped = prefix .. 'dropped:' .. ARGV[i]
  local members = redis.call('ZRANGEBYSCORE', dropped, '-inf', '(' .. before, 'LIMIT', 0, most)
  if #members > 0 then redis.call('ZREM', dropped, unpack(members)) end
  if redis.call('EXISTS', dropped) == 0 then redis.call('HDEL', counts, ARGV[i]) end
  forgotten = forgotten + #members
end
return forgotten
