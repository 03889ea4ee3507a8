#!lua flags=allow-oom
-- Drop blocks of the books, and shelves of rows that have no event in the blocks that are left.
-- KEYS: 1 blocks, 2 their sizes, 3 since when there are books, 4 shelves of triggers, 5 shelves of itemised calls
-- ARGV: 1 the source's prefix, 2 events in a block, 3 shelves at most, of either, then blocks, 500 at most
-- RETURNS: {blocks dropped, bytes dropped, shelves dropped}
-- ATOMIC BECAUSE the sum of the sizes must match, and nobody may take a row whose events were shed for one without any.
local blocks, sizes, from = unpack(KEYS, 1, 3)
local prefix, block_size, most = ARGV[1], tonumber(ARGV[2]), ARGV[3]
local dropped, bytes, newest = 0, 0, -1
for i = 4, #ARGV do
  if redis.call('ZREM', blocks, ARGV[i]) == 1 then
    redis.call('UNLINK', prefix .. 'books:' .. ARGV[i])
    bytes = bytes + (tonumber(redis.call('HGET', sizes, ARGV[i]) or '0') or 0)
    redis.call('HDEL', sizes, ARGV[i])
    dropped, newest = dropped + 1, math.max(newest, tonumber(ARGV[i]) or -1)
  end
end
local number = tonumber(redis.call('HGET', from, 'number') or '0') or 0
if (newest + 1) * block_size > number then
  number = (newest + 1) * block_size
  redis.call('HSET', from, 'number', string.format('%.0f', number))
end
if redis.call('EXISTS', blocks) == 0 then
  -- Whatever the count says, nothing is left.
  redis.call('DEL', sizes)
elseif bytes > 0 then
  local total = tonumber(redis.call('HGET', sizes, 'total') or '0') or 0
  redis.call('HSET', sizes, 'total', string.format('%.0f', math.max(0, total - bytes)))
end
local emptied = 0
for space, shelves in pairs({t = KEYS[4], i = KEYS[5]}) do
  local old = redis.call('ZRANGEBYSCORE', shelves, '-inf', '(' .. string.format('%.0f', number), 'LIMIT', 0, most)
  for _, shelf in ipairs(old) do
    redis.call('UNLINK', prefix .. 'book_rows:' .. space .. ':' .. shelf)
    redis.call('ZREM', shelves, shelf)
    local first = tonumber(redis.call('HGET', from, space) or '0') or 0
    if (tonumber(shelf) or 0) >= first then redis.call('HSET', from, space, string.format('%.0f', shelf + 1)) end
    emptied = emptied + 1
  end
end
return {dropped, bytes, emptied}
