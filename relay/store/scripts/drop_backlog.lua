#!lua flags=allow-oom
-- Drop deliveries of an endpoint, oldest first, until enough bytes of events are let go. They are listed without events.
-- KEYS: 1 lanes, 2 ready, 3 due, 4 dead, 5 references, 6 owed, 7 the endpoint's dropped ones, 8 counts of dropped ones,
--   9 keys that the endpoint waits for (blocked)
-- ARGV: 1 the source's prefix, 2 endpoint, 3 events in a block, 4 bytes to let go, 5 how many dropped ones to list,
--   6 wake channel, 7 source uid, then for each delivery five: the place where it should be ('lane', 'behind', 'due',
--   'dead'), its member there, what to list ('': nothing), the ms to list it under, and the key that it waits behind
--   ('behind') or that waits for it ('' none)
-- RETURNS: {deliveries dropped, bytes let go}
-- ATOMIC BECAUSE a delivery must be in exactly one place, and the count of deliveries that keep an event alive must match.
-- Who holds the lane believes what it was told of keys: what a key waits for is left to it. Where nobody holds it, the
-- next one that waits for the key takes the place of the one that is dropped.
local lanes, ready, due, dead, references, owed, dropped, counts, blocked = unpack(KEYS)
local prefix, endpoint, block_size, wanted, listed, channel, uid = unpack(ARGV, 1, 7)
block_size = tonumber(block_size)
-- SHARED: books
local lane = prefix .. 'lane:' .. endpoint
local state = redis.call('HGET', lanes, endpoint)
local held = state and state ~= 'r' and state ~= 'p'
local number, freed = 0, 0

local function waiting(key) return prefix .. 'waiting:' .. endpoint .. ':' .. key end
local function number_of(reference) return string.match(reference, '^%a(%d+)') end
local function pop(list, member)
  if redis.call('LINDEX', list, 0) ~= member then return false end
  redis.call('LPOP', list)
  return true
end
local function hand_over(key, before)
  if key == '' or redis.call('HGET', blocked, key) ~= before then return end
  local following = redis.call('LPOP', waiting(key))
  if following and number_of(following) then
    redis.call('HSET', blocked, key, number_of(following))
  else
    redis.call('HDEL', blocked, key)
  end
  if following then redis.call('LPUSH', lane, following) end
end
local function is_theirs(key) return held and key ~= '' end
-- One that had been given up before, and is listed as dropped to let its event go, was forgotten as a dead one.
local function reason_of(place, entry)
  if place == 'dead' then return FORGOTTEN end
  return string.match(entry, '^%S+ (%S+)') == 'backlog_full' and FULL or OLD
end
local take = {
  lane = function(member, key) return not is_theirs(key) and pop(lane, member) end,
  behind = function(member, key) return pop(waiting(key), member) end,
  due = function(member, key) return not is_theirs(key) and redis.call('ZREM', due, member) == 1 end,
  dead = function(member) return redis.call('ZREM', dead, member) == 1 end,
}

for i = 8, #ARGV, 5 do
  if freed >= tonumber(wanted) then break end
  local place, member, entry, at, key = unpack(ARGV, i, i + 4)
  if take[place](member, key) then
    local event = number_of(entry)
    if event then
      local bucket = string.format('%.0f', math.floor(tonumber(event) / block_size))
      freed = freed + redis.call('HSTRLEN', prefix .. 'events:' .. bucket, event)
      redis.call('HINCRBY', references, bucket, -1)
      redis.call('ZADD', dropped, at, entry)
      note(endpoint, tonumber(event), reason_of(place, entry))
      if place == 'lane' or place == 'due' then hand_over(key, event) end
    end
    number = number + 1
  end
end
write_books()
if number > 0 then
  redis.call('HINCRBY', counts, endpoint, number)
  if redis.call('HINCRBY', owed, endpoint, 0 - freed) <= 0 then redis.call('HDEL', owed, endpoint) end
  redis.call('ZREMRANGEBYRANK', dropped, 0, -listed - 1)
end
if not state and redis.call('EXISTS', lane) == 1 then
  redis.call('HSET', lanes, endpoint, 'r')
  redis.call('RPUSH', ready, endpoint)
  redis.call('PUBLISH', channel, uid)
end
return {number, freed}
