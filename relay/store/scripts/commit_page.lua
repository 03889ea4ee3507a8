#!lua
-- Commit a page, or a prefix of one: its events, the lanes that want them, what was seen, and the route's cursor.
-- KEYS: 1 fence, 2 subscriptions, 3 route, 4 trail, 5 lanes, 6 ready, 7 references
-- ARGV: 1 the source's prefix, 2 fencing token, 3 version of the configuration that was matched, 4 new cursor or '',
--   5 now in ms, 6 wake channel, 7 source uid, then three counted lists:
--   hashes: {key suffix, number of arguments, field, value, …}; references: {bucket, deliveries};
--   lanes: {endpoint, number of references, reference, …}
-- RETURNS: 'ok', or without having changed anything 'fenced' (another poller has a newer token) or 'stale' (the
--   subscriptions changed since the page was matched).
-- ATOMIC BECAUSE the cursor must never be past a row whose events are not in the lanes, nor behind one whose are.
-- It cannot fail half way: every key has one type, and a full memory refuses the script before it starts.
local fence, subscriptions, route, trail, lanes, ready, references = unpack(KEYS)
local prefix, token, version, cursor, now, channel, uid = unpack(ARGV, 1, 7)
local UNPACK = 4000 -- Lua's stack holds 8,000.

if redis.call('GET', fence) ~= token then return 'fenced' end
if tonumber(redis.call('GET', subscriptions) or '0') > tonumber(version) then return 'stale' end

local at = 8
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

for _ = 1, count() do
  local suffix = ARGV[at]
  at = at + 1
  bulk('HSET', prefix .. suffix, count())
  local space, bucket = string.match(suffix, '^seen:(%a):(%d+)$')
  if space then redis.call('ZADD', prefix .. 'seen_buckets:' .. space, bucket, bucket) end
end
for _ = 1, count() do
  redis.call('HINCRBY', references, ARGV[at], ARGV[at + 1])
  at = at + 2
end
local woken = {}
local groups = count()
for _ = 1, groups do
  local endpoint = ARGV[at]
  at = at + 1
  bulk('RPUSH', prefix .. 'lane:' .. endpoint, count())
  if redis.call('HSETNX', lanes, endpoint, 'r') == 1 then woken[#woken + 1] = endpoint end
end
for first = 1, #woken, UNPACK do
  redis.call('RPUSH', ready, unpack(woken, first, math.min(first + UNPACK, #woken + 1) - 1))
end
if cursor ~= '' then
  redis.call('HSET', route, 'cursor', cursor)
  redis.call('ZADD', trail, now, cursor)
end
if groups > 0 then redis.call('PUBLISH', channel, uid) end
return 'ok'
