#!lua flags=allow-oom
-- Forget what some blocks of the books have of deleted endpoints.
-- KEYS: 1 sizes of the blocks
-- ARGV: 1 the source's prefix, 2 number of endpoints, then they, then blocks; 5,000 pairs of both at most
-- RETURNS: how many entries were forgotten
-- ATOMIC BECAUSE the sum of the sizes must match.
local sizes, prefix, count = KEYS[1], ARGV[1], tonumber(ARGV[2])
local FIELD_BYTES = 90
local forgotten, total = 0, 0
for i = 3 + count, #ARGV do
  local books, bytes = prefix .. 'books:' .. ARGV[i], 0
  for j = 3, 2 + count do
    local size = redis.call('HSTRLEN', books, ARGV[j])
    if redis.call('HDEL', books, ARGV[j]) == 1 then
      forgotten, bytes = forgotten + 1, bytes + size + FIELD_BYTES
    end
  end
  if bytes > 0 and redis.call('HEXISTS', sizes, ARGV[i]) == 1 then
    redis.pcall('HINCRBY', sizes, ARGV[i], 0 - bytes)
    total = total + bytes
  end
end
if total > 0 then redis.pcall('HINCRBY', sizes, 'total', 0 - total) end
return forgotten
