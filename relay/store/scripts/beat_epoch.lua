#!lua flags=allow-oom
-- Count one more checkpoint that is begun in the store's epoch, and note when one was written last.
-- KEYS: 1 epoch
-- ARGV: 1 the epoch's id, 2 ms of the server's clock when a checkpoint was written last, or ''
-- RETURNS: {how many were begun, ms of the server's clock now}, or {0, 0} when the store has another epoch
-- ATOMIC BECAUSE a checkpoint must not be begun in an epoch that ended meanwhile.
local epoch, id, saved = KEYS[1], ARGV[1], ARGV[2]
if redis.call('HGET', epoch, 'id') ~= id then return {0, 0} end
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', epoch, 'beaten_ms', string.format('%.0f', now))
if saved ~= '' then redis.call('HSET', epoch, 'saved_ms', saved) end
return {redis.call('HINCRBY', epoch, 'beats', 1), now}
