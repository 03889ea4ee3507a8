#!lua
-- Put one delivery into a lane again, taking out what is known of it among those that were given up.
-- KEYS: 1 lanes, 2 ready, 3 dead, 4 references, 5 owed, 6 the endpoint's dropped ones, 7 revived, 8 sizes of the books
-- ARGV: 1 the source's prefix, 2 endpoint, 3 reference, 4 events in a bucket, 5 wake channel, 6 source uid,
--   7 '1': the delivery was lost, and its event is kept for it still; 8 how many members of the dead ones follow, then
--   they, then members of the dropped ones
-- RETURNS: how many of the dead ones were still there, or -1 without having changed anything: the event is not kept
-- ATOMIC BECAUSE the event must be kept as long as any delivery of it has not ended.
local lanes, ready, dead, references, owed, dropped, revived, book_sizes = unpack(KEYS)
local prefix, endpoint, reference, bucket_size, channel, uid, lost, deads = unpack(ARGV, 1, 8)
local number = string.match(reference, '^%a(%d+)')
local bucket = string.format('%.0f', math.floor(tonumber(number) / bucket_size))
local size = redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
if size == 0 then return -1 end
redis.call('INCR', revived)
local was_dead = 0
for i = 9, 8 + deads do was_dead = was_dead + redis.call('ZREM', dead, ARGV[i]) end
for i = 9 + deads, #ARGV do redis.call('ZREM', dropped, ARGV[i]) end
if was_dead ~= 1 and lost ~= '1' then
  redis.call('HINCRBY', references, bucket, 1 - was_dead)
  redis.call('HINCRBY', owed, endpoint, size * (1 - was_dead))
end
-- In the books it waits again, unless they have shed its block.
local books, FIELD_BYTES = prefix .. 'books:' .. bucket, 90
if redis.call('HEXISTS', book_sizes, bucket) == 1 then
  local offset = tonumber(number) % bucket_size
  local found, at = redis.call('HGET', books, endpoint), math.floor(offset / 2)
  local halves = found or ''
  halves = halves .. string.rep('\0', at + 1 - #halves)
  local byte = string.byte(halves, at + 1)
  byte = offset % 2 == 1 and byte - byte % 16 + 1 or 16 + byte % 16
  halves = string.sub(halves, 1, at) .. string.char(byte) .. string.sub(halves, at + 2)
  redis.call('HSET', books, endpoint, halves)
  local bytes = found and #halves - #found or #halves + FIELD_BYTES
  redis.pcall('HINCRBY', book_sizes, bucket, bytes)
  redis.pcall('HINCRBY', book_sizes, 'total', bytes)
end
redis.call('RPUSH', prefix .. 'lane:' .. endpoint, reference)
if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then redis.call('RPUSH', ready, endpoint) end
redis.call('PUBLISH', channel, uid)
return was_dead
