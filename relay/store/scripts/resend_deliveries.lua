#!lua
-- Put deliveries into lanes again, taking out what is known of them among those that were given up.
-- KEYS: 1 lanes, 2 ready, 3 dead, 4 references, 5 owed, 6 revived, 7 sizes of the books
-- ARGV: 1 the source's prefix, 2 events in a bucket, 3 wake channel, 4 source uid, then for each delivery: endpoint,
--   reference, '1' if it was lost (its event is kept for it still), how many members of the dead ones follow, then they,
--   how many members of the dropped ones follow, then they
-- RETURNS: for each delivery how many of the dead ones were still there, or -1 without anything changed for it: the event
--   is not kept
-- ATOMIC BECAUSE the event must be kept as long as any delivery of it has not ended.
local lanes, ready, dead, references, owed, revived, book_sizes = unpack(KEYS, 1, 7)
local prefix, bucket_size, channel, uid = unpack(ARGV, 1, 4)
local FIELD_BYTES = 90
local at, answers, is_revived = 5, {}, false
local function pop()
  at = at + 1
  return ARGV[at - 1]
end
-- In the books it waits again, unless they have shed its block.
local function note(endpoint, bucket, offset)
  if redis.call('HEXISTS', book_sizes, bucket) == 0 then return end
  local books = prefix .. 'books:' .. bucket
  local found, place = redis.call('HGET', books, endpoint), math.floor(offset / 2)
  local halves = found or ''
  halves = halves .. string.rep('\0', place + 1 - #halves)
  local byte = string.byte(halves, place + 1)
  byte = offset % 2 == 1 and byte - byte % 16 + 1 or 16 + byte % 16
  halves = string.sub(halves, 1, place) .. string.char(byte) .. string.sub(halves, place + 2)
  redis.call('HSET', books, endpoint, halves)
  local bytes = found and #halves - #found or #halves + FIELD_BYTES
  if bytes > 0 then
    redis.pcall('HINCRBY', book_sizes, bucket, bytes)
    redis.pcall('HINCRBY', book_sizes, 'total', bytes)
  end
end
local function taken_out(list)
  local count = 0
  for _ = 1, tonumber(pop()) do count = count + redis.call('ZREM', list, pop()) end
  return count
end
local function passed_over()
  for _ = 1, 2 do at = at + 1 + tonumber(ARGV[at]) end
  return -1
end
local function resent(endpoint, reference, lost)
  local number = string.match(reference, '^%a(%d+)')
  local bucket = string.format('%.0f', math.floor(tonumber(number) / bucket_size))
  local size = redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
  if size == 0 then return passed_over() end
  local was_dead = taken_out(dead)
  taken_out(prefix .. 'dropped:' .. endpoint)
  if was_dead ~= 1 and lost ~= '1' then
    redis.call('HINCRBY', references, bucket, 1 - was_dead)
    redis.call('HINCRBY', owed, endpoint, size * (1 - was_dead))
  end
  note(endpoint, bucket, tonumber(number) % bucket_size)
  redis.call('RPUSH', prefix .. 'lane:' .. endpoint, reference)
  if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then redis.call('RPUSH', ready, endpoint) end
  is_revived = true
  return was_dead
end
while at <= #ARGV do
  local endpoint, reference = pop(), pop()
  answers[#answers + 1] = resent(endpoint, reference, pop())
end
if is_revived then
  redis.call('INCR', revived)
  redis.call('PUBLISH', channel, uid)
end
return answers
