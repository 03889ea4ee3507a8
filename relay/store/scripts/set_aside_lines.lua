#!lua
-- Keep lines that could not be read; one that is there already counts once.
-- KEYS: 1 fence, 2 quarantine
-- ARGV: 1 fencing token, 2 field of the total, then {digest, JSON, …}
-- RETURNS: {lines that are kept, different lines that were ever set aside, how many of these are new}, or without having
--   changed anything 'fenced' (another poller took over)
-- ATOMIC BECAUSE a poller that slept while its source was deleted must not leave anything to the next one of that name.
local fence, quarantine = KEYS[1], KEYS[2]
local token, total = ARGV[1], ARGV[2]
if redis.call('GET', fence) ~= token then return 'fenced' end
local new = 0
for i = 3, #ARGV, 2 do new = new + redis.call('HSETNX', quarantine, ARGV[i], ARGV[i + 1]) end
local count = string.match(redis.call('HGET', quarantine, total) or '0', '^%d+$')
-- A count that can't be read begins again with what is kept.
count = count and count + new or redis.call('HLEN', quarantine) - 1
redis.call('HSET', quarantine, total, string.format('%.0f', count))
return {redis.call('HLEN', quarantine) - 1, count, new}
