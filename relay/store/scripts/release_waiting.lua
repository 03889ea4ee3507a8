#!lua flags=allow-oom
-- Let everything that waits behind a blocked key of an endpoint go on: its order was changed.
-- KEYS: 1 lanes, 2 ready
-- ARGV: 1 the source's prefix, 2 endpoint, 3 wake channel, 4 source uid
-- RETURNS: the number of keys that were blocked
-- ATOMIC BECAUSE a delivery must be in exactly one place, and a lane in exactly one state.
local lanes, ready = KEYS[1], KEYS[2]
local prefix, endpoint, channel, uid = unpack(ARGV)
local blocked, lane = prefix .. 'blocked:' .. endpoint, prefix .. 'lane:' .. endpoint
local names = redis.call('HKEYS', blocked)
for _, key in ipairs(names) do
  while redis.call('LMOVE', prefix .. 'waiting:' .. endpoint .. ':' .. key, lane, 'RIGHT', 'LEFT') do end
end
redis.call('DEL', blocked)
if redis.call('EXISTS', lane) == 1 and redis.call('HSETNX', lanes, endpoint, 'r') == 1 then
  redis.call('RPUSH', ready, endpoint)
end
if #names > 0 then redis.call('PUBLISH', channel, uid) end
return #names
