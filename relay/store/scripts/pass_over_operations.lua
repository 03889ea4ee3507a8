#!lua
-- Post no operational event that was noted before the first operational endpoint.
-- KEYS: 1 index (zset), 2 operations (stream), 3 the position up to which they are posts (string), 4 outbox (stream)
-- ARGV: 1 the folder of operational endpoints in the index
-- RETURNS: 1, or 0 without having changed anything: there are operational endpoints
-- ATOMIC BECAUSE an endpoint that another request creates meanwhile gets every event from then on.
local index, operations, posted, outbox = unpack(KEYS)
local folder = ARGV[1]
if redis.call('ZLEXCOUNT', index, '[' .. folder .. '/', '(' .. folder .. '0') > 0 then return 0 end -- '0' follows '/'.
local newest = redis.call('XREVRANGE', operations, '+', '-', 'COUNT', 1)[1]
redis.call('SET', posted, newest and newest[1] or '0-0')
redis.call('DEL', outbox)
return 1
