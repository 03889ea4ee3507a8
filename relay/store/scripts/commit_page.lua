#!lua
-- Commit a page, or a prefix of one: its events, the lanes that want them, what was seen, and the route's cursor.
-- KEYS: 1 fence, 2 subscriptions, 3 route, 4 trail, 5 lanes, 6 ready, 7 references, 8 owed, 9 sequence,
--   10 the route's smallest rowIds (lowest), 11 blocks of the books, 12 their sizes, 13 shelves of rows
-- ARGV: 1 the source's prefix, 2 fencing token, 3 version of the configuration that was matched, 4 new cursor or '',
--   5 now in ms, 6 wake channel, 7 source uid, 8 the sequence that the poller knows, 9 the cursor that the route must
--   have, or '', 10 the space of the rowIds, then seven counted lists:
--   what is known of rows: {bucket, number of arguments, field, value, …}; events: the same; ids: {shard, field, number};
--   references: {bucket, deliveries, smallest rowId}; lanes: {endpoint, bytes of the events, number of references,
--   reference, …}; rows of the books: {shelf, number of its newest event, number of arguments, group, entries, …};
--   blocks of the books: {block, number of parts, {first byte, half bytes, number of endpoints, endpoint, …}, …}
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller took over), 'astray' (the store is not
--   where the poller left it: it lost what it wrote last) or 'stale' (the subscriptions changed since the page was
--   matched).
-- Each commit counts the sequence on. What a server loses is always the newest, so as long as the sequence is what the
-- poller knows, everything stands that it wrote or read before: events, rows and cursors.
-- ATOMIC BECAUSE the cursor must never be past a row whose events are not in the lanes, nor behind one whose are.
-- It cannot fail half way: every key has one type, a count that can't be read begins again, and a full memory refuses the
-- script before it starts.
local fence, subscriptions, route, trail, lanes, ready, references, owed, sequence, lowest = unpack(KEYS, 1, 10)
local book_blocks, book_sizes, shelves = unpack(KEYS, 11)
local prefix, token, version, cursor, now, channel, uid, known, after, space = unpack(ARGV, 1, 10)
-- SHARED: append

if redis.call('GET', fence) ~= token then return 'fenced' end
if (redis.call('GET', sequence) or '0') ~= known then return 'astray' end
if after ~= '' and redis.call('HGET', route, 'cursor') ~= after then return 'astray' end
if tonumber(redis.call('GET', subscriptions) or '0') > tonumber(version) then return 'stale' end

local at = 11
local function count()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
local function bulk(command, key, size)
  for first = at, at + size - 1, UNPACK do
    redis.call(command, key, unpack(ARGV, first, math.min(first + UNPACK, at + size) - 1))
  end
  at = at + size
end

local seen, seen_buckets = prefix .. 'seen:' .. space .. ':', prefix .. 'seen_buckets:' .. space
for _ = 1, count() do
  local bucket = ARGV[at]
  at = at + 1
  bulk('HSET', seen .. bucket, count())
  redis.call('ZADD', seen_buckets, bucket, bucket)
end
for _ = 1, count() do
  local bucket = ARGV[at]
  at = at + 1
  bulk('HSET', prefix .. 'events:' .. bucket, count())
end
local ids = prefix .. 'ids:'
for _ = 1, count() do
  redis.call('HSET', ids .. ARGV[at], ARGV[at + 1], ARGV[at + 2])
  at = at + 3
end
local buckets, deliveries = {}, {}
for i = 1, count() do
  buckets[i], deliveries[i] = ARGV[at], ARGV[at + 1]
  local row_id, least = ARGV[at + 2], redis.call('HGET', lowest, ARGV[at])
  -- A rowId can have more digits than Lua's numbers.
  if not least or #row_id < #least or (#row_id == #least and row_id < least) then
    redis.call('HSET', lowest, ARGV[at], row_id)
  end
  at = at + 3
end
add(references, buckets, deliveries, KEPT)
local endpoints, sizes = {}, {}
for i = 1, count() do
  local endpoint = ARGV[at]
  endpoints[i], sizes[i] = endpoint, ARGV[at + 1]
  at = at + 2
  bulk('RPUSH', prefix .. 'lane:' .. endpoint, count())
end
wake(endpoints, sizes)
-- The books: rows with their events, and what each endpoint is owed of them.
local LONGEST = 14000 -- Of a group's entries: what is kept of rows that change without end is bounded.
local shelved = {}
for _ = 1, count() do
  local shelf, newest = ARGV[at], ARGV[at + 1]
  at = at + 2
  local key, size, groups = prefix .. 'book_rows:' .. space .. ':' .. shelf, count(), {}
  for i = 0, size - 2, 2 do groups[#groups + 1] = ARGV[at + i] end
  local before, after = redis.call('HMGET', key, unpack(groups)), {}
  for i = 1, #groups do
    local found = before[i] or ''
    after[2 * i - 1], after[2 * i] = groups[i], string.sub(found .. ARGV[at + 2 * i - 1], -LONGEST)
    shelved[#shelved + 1] = {found, after[2 * i]}
  end
  redis.call('HSET', key, unpack(after))
  redis.call('ZADD', shelves, 'GT', newest, shelf)
  at = at + size
end
for i = 1, count() do
  local block = ARGV[at]
  at = at + 1
  open_block(block)
  if i == 1 then
    for j = 1, #shelved do grows(block, shelved[j][1], shelved[j][2]) end
  end
  for _ = 1, count() do
    local first_byte, halves = tonumber(ARGV[at]), ARGV[at + 1]
    at = at + 2
    local size = count()
    owe(block, first_byte, halves, ARGV, at, at + size - 1)
    at = at + size
  end
end
count_books()
if cursor ~= '' then
  redis.call('HSETNX', route, 'books_from', after ~= '' and after or cursor)
  redis.call('HSET', route, 'cursor', cursor)
  redis.call('ZADD', trail, now, cursor)
end
redis.call('INCR', sequence)
if #endpoints > 0 then redis.call('PUBLISH', channel, uid) end
return 'ok'
