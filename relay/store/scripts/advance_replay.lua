#!lua
-- Create a replay of a source, write down how far it has come, or end it; with the deliveries that it puts into the
-- endpoint's list of replays in the same step.
-- KEYS: 1 fence, 2 replays, 3 counts of replays, 4 lanes, 5 ready, 6 dead, 7 references, 8 owed, 9 the endpoint's dropped
--   ones, 10 revived, 11 sizes of the books, 12 endpoints with replays, 13 the endpoint's list of replays
-- ARGV: 1 the source's prefix, 2 endpoint, 3 id of the replay, 4 what stands there ('': nothing), 5 what is to stand there
--   ('': nothing), 6 events in a bucket, 7 wake channel, 8 source uid, then for each delivery {reference, what the books
--   have to say of it, number of members of the dead ones, member, …, the same of the dropped ones}
-- RETURNS: 'ok', or without having changed anything 'changed' (something else stands there) or 'closed' (the source is
--   being deleted)
-- ATOMIC BECAUSE a worker that dies between the deliveries and the progress would lose or repeat them.
local fence, replays, counts, lanes, ready, dead, references, owed, dropped, revived = unpack(KEYS, 1, 10)
local book_sizes, replaying, list = unpack(KEYS, 11, 13)
local prefix, endpoint, id, before, after, bucket_size, channel, uid = unpack(ARGV, 1, 8)
local FIELD_BYTES = 90 -- What a field of the books takes in addition to its value, about.
if string.sub(redis.call('GET', fence) or '', 1, 1) == '-' then return 'closed' end
if (redis.call('HGET', replays, id) or '') ~= before then return 'changed' end
if after == '' then
  redis.call('HDEL', replays, id)
  redis.call('HDEL', counts, id .. ':queued', id .. ':gone', id .. ':changed')
  return 'ok'
end
redis.call('HSET', replays, id, after)

local at = 9
local function members()
  local size = tonumber(ARGV[at])
  at = at + size + 1
  return {unpack(ARGV, at - size, at - 1)}
end
-- False: the books say something else by now. They say that it waits from now on, unless they have shed its block.
local function waits(number, bucket, expected)
  if redis.call('HEXISTS', book_sizes, bucket) == 0 then return expected == 0 end
  local books, offset = prefix .. 'books:' .. bucket, number % bucket_size
  local found, place = redis.call('HGET', books, endpoint), math.floor(offset / 2)
  local halves = found or ''
  halves = halves .. string.rep('\0', place + 1 - #halves)
  local byte = string.byte(halves, place + 1)
  local high, low = math.floor(byte / 16), byte % 16
  if (offset % 2 == 1 and low or high) ~= expected then return false end
  byte = offset % 2 == 1 and high * 16 + 1 or 16 + low
  redis.call('HSET', books, endpoint, string.sub(halves, 1, place) .. string.char(byte) .. string.sub(halves, place + 2))
  local bytes = found and #halves - #found or #halves + FIELD_BYTES
  redis.pcall('HINCRBY', book_sizes, bucket, bytes)
  redis.pcall('HINCRBY', book_sizes, 'total', bytes)
  return true
end
local queued, gone, changed = {}, 0, 0
while at <= #ARGV do
  local reference, expected = ARGV[at], tonumber(ARGV[at + 1])
  at = at + 2
  local of_dead, of_dropped = members(), members()
  local number = string.match(reference, '^%a(%d+)')
  local bucket = string.format('%.0f', math.floor(tonumber(number) / bucket_size))
  local size = redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
  if size == 0 then
    gone = gone + 1
  elseif not waits(tonumber(number), bucket, expected) then
    changed = changed + 1
  else
    local was_dead = 0
    for _, member in ipairs(of_dead) do was_dead = was_dead + redis.call('ZREM', dead, member) end
    for _, member in ipairs(of_dropped) do redis.call('ZREM', dropped, member) end
    if was_dead ~= 1 then
      redis.call('HINCRBY', references, bucket, 1 - was_dead)
      redis.call('HINCRBY', owed, endpoint, size * (1 - was_dead))
    end
    queued[#queued + 1] = reference
  end
end
if #queued > 0 then
  redis.call('INCR', revived)
  redis.call('HINCRBY', counts, id .. ':queued', #queued)
  redis.call('RPUSH', list, unpack(queued))
  redis.call('SADD', replaying, endpoint)
  if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then redis.call('RPUSH', ready, endpoint) end
  redis.call('PUBLISH', channel, uid)
end
if gone > 0 then redis.call('HINCRBY', counts, id .. ':gone', gone) end
if changed > 0 then redis.call('HINCRBY', counts, id .. ':changed', changed) end
return 'ok'
