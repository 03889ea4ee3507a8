#!lua
-- Append a posted event, with an entry in the lane of each endpoint that wants it.
-- KEYS: 1 fence, 2 subscriptions, 3 lanes, 4 ready, 5 references, 6 owed, 7 sequence, 8 blocks of the books, 9 their sizes,
--   10 the shard of the index of ids
-- ARGV: 1 the stream's prefix, 2 version of the configuration that was matched, 3 now in ms, 4 wake channel, 5 the stream,
--   6 the field of the event's id in the shard, 7 the event, 8 what a reference has behind the event's number,
--   9 events in a bucket and in a block of the books (even), 10 half a byte: waiting, 11 number of endpoints whose filters
--   were not asked, 12 form of their references, 13 form of all others, then the endpoints, those first
-- RETURNS: {'ok', the event's number}, or without having changed anything {'closed'} (the application was deleted),
--   {'taken', the number of the event that has this id} or {'stale'} (the subscriptions changed since the event was matched)
-- The event gets its number here, so that numbers ascend in the order of commits, as they do in a source.
-- ATOMIC BECAUSE an event must have all of its deliveries or not exist, and an id must have one event.
-- It cannot fail half way: every key has one type, and a full memory refuses the script before it starts.
local fence, subscriptions, lanes, ready, references, owed, sequence, book_blocks, book_sizes, ids = unpack(KEYS, 1, 10)
local prefix, version, now, channel, stream, id, event, behind, bucket_size = unpack(ARGV, 1, 9)
local waiting, unasked, unchecked, checked = unpack(ARGV, 10, 13)
local FIRST = 14
-- SHARED: append

if string.sub(redis.call('GET', fence) or '', 1, 1) == '-' then return {'closed'} end
local taken = redis.call('HGET', ids, id)
if taken then return {'taken', taken} end
if tonumber(redis.call('GET', subscriptions) or '0') > tonumber(version) then return {'stale'} end

local number = redis.call('INCR', sequence)
local offset = number % bucket_size
local text, bucket = string.format('%.0f', number), string.format('%.0f', (number - offset) / bucket_size)
redis.call('HSET', prefix .. 'events:' .. bucket, text, event)
redis.call('HSET', ids, id, text)
local endpoints, sizes = {}, {}
for i = FIRST, #ARGV do
  local form = i - FIRST < tonumber(unasked) and unchecked or checked
  endpoints[#endpoints + 1], sizes[#sizes + 1] = ARGV[i], #event
  redis.call('RPUSH', prefix .. 'lane:' .. ARGV[i], form .. text .. behind)
end
add(references, {bucket}, {#endpoints}, KEPT)
wake(endpoints, sizes)
open_block(bucket)
local halves = string.char(offset % 2 == 0 and waiting * 16 or tonumber(waiting))
owe(bucket, math.floor(offset / 2), halves, endpoints, 1, #endpoints)
count_books()
if #endpoints > 0 then redis.call('PUBLISH', channel, stream) end
return {'ok', number}
