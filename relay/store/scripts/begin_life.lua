#!lua flags=allow-oom
-- Begin a life of what the store has of a source.
-- KEYS: 1 fence, 2 life
-- ARGV: 1 the life, 2 '1': instead of the one that stands there
-- RETURNS: 1, or 0 when the source is closed, or has a life already
-- ATOMIC BECAUSE nothing may be left behind of a source that was deleted.
local fence, life = KEYS[1], KEYS[2]
if string.sub(redis.call('GET', fence) or '0', 1, 1) == '-' then return 0 end
if ARGV[2] ~= '1' and redis.call('EXISTS', life) == 1 then return 0 end
redis.call('SET', life, ARGV[1])
return 1
