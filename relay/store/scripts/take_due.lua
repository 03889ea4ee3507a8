#!lua flags=allow-oom
-- Take the sources that are due for a poll slice, and put them off.
-- KEYS: 1 times of the next slices
-- ARGV: 1 now in ms, 2 until when they are put off, in ms, 3 how many sources at most
-- RETURNS: {ms of the next source to come or '', source, source, …}
-- ATOMIC BECAUSE two workers must not begin the same slices.
local times = KEYS[1]
local now, later, most = ARGV[1], ARGV[2], ARGV[3]
local first = redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')
if #first == 0 or tonumber(first[2]) > tonumber(now) then return {first[2] or ''} end
local due = redis.call('ZRANGEBYSCORE', times, '-inf', now, 'LIMIT', 0, most)
for _, source in ipairs(due) do redis.call('ZADD', times, later, source) end
return {redis.call('ZRANGE', times, 0, 0, 'WITHSCORES')[2], unpack(due)}
