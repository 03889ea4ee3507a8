#!lua flags=allow-oom
-- Create a reconciliation, or write down how far it has come.
-- KEYS: 1 fence, 2 the reconciliation, 3 its differences, 4 all of the source's reconciliations, 5 those under way
-- ARGV: 1 the source's prefix, 2 its id, 3 what stands there ('': nothing), 4 what is to stand there, 5 ms when it was
--   asked for, 6 '1': it is under way, 7 how many reconciliations to keep, 8 how many differences to keep, 9 '1': the
--   differences that stand there are replaced, then differences to add
-- RETURNS: 'ok', or without having changed anything 'changed' (something else stands there) or 'closed' (the source is
--   being deleted)
-- ATOMIC BECAUSE a worker that slept must not overwrite what another one wrote, nor leave anything behind.
local fence, run, differences, all, under_way = unpack(KEYS)
local prefix, id, before, after, at, is_under_way, kept, most, replaces = unpack(ARGV, 1, 9)
local UNPACK = 4000 -- Lua's stack holds 8,000.
if string.sub(redis.call('GET', fence) or '', 1, 1) == '-' then return 'closed' end
if (redis.call('GET', run) or '') ~= before then return 'changed' end
redis.call('SET', run, after)
redis.call('ZADD', all, at, id)
if is_under_way == '1' then redis.call('ZADD', under_way, at, id) else redis.call('ZREM', under_way, id) end
for _, old in ipairs(redis.call('ZRANGE', all, 0, -kept - 1)) do
  redis.call('UNLINK', prefix .. 'reconciliation:' .. old, prefix .. 'differences:' .. old)
  redis.call('ZREM', all, old)
  redis.call('ZREM', under_way, old)
end
if replaces == '1' then redis.call('DEL', differences) end
for first = 10, #ARGV, UNPACK do
  redis.call('RPUSH', differences, unpack(ARGV, first, math.min(first + UNPACK - 1, #ARGV)))
end
redis.call('LTRIM', differences, 0, most - 1)
return 'ok'
