#!lua flags=allow-oom
-- Begin an epoch of the store.
-- KEYS: 1 epoch
-- ARGV: 1 the id of the epoch that ends ('' none), 2 the new id, 3 the new one's ancestors, separated by spaces
-- RETURNS: 1, or 0 when another epoch began meanwhile
-- ATOMIC BECAUSE several workers may find the same loss, and one of them must begin the epoch.
local epoch, ended, id, ancestors = KEYS[1], ARGV[1], ARGV[2], ARGV[3]
if (redis.call('HGET', epoch, 'id') or '') ~= ended then return 0 end
redis.call('DEL', epoch)
redis.call('HSET', epoch, 'id', id, 'ancestors', ancestors, 'beats', 0)
return 1
