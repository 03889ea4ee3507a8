#!lua flags=allow-oom
-- Let everything that waits behind blocked keys of an endpoint go on, if they were blocked in another order than its own.
-- KEYS: 1 lanes, 2 ready, 3 blockers
-- ARGV: 1 the source's prefix, 2 endpoint, 3 version of its order now, 4 how many at most, 5 wake channel, 6 source uid
-- RETURNS: how many go on; as many as asked for: call it again
-- ATOMIC BECAUSE a delivery must be in exactly one place, and a lane in exactly one state.
-- The lists of the keys are merged by the events' numbers, also with what stands at the lane's head: the endpoint may
-- want everything in one order now. They are taken from their ends, so a call that stops early leaves the older ones.
local lanes, ready, blockers = unpack(KEYS)
local prefix, endpoint, version, most, channel, uid = unpack(ARGV)
local blocked, lane = prefix .. 'blocked:' .. endpoint, prefix .. 'lane:' .. endpoint
most = tonumber(most)
-- Whoever asks may not have heard of the newest order yet: keys of a newer one stay while somebody holds the lane.
local state = redis.call('HGET', lanes, endpoint)
local is_held = state and state ~= 'r' and state ~= 'p'
local function is_of_another_order(key)
  local of = string.match(key, '^(%d+)%.')
  if of and is_held then return tonumber(of) < tonumber(version) end
  return of ~= version
end
local function number_of(reference) return tonumber(string.match(reference, '^%a(%d+)') or '0') end

-- The lists in the order of their last numbers, the greatest last.
local lists = {}
local function place(list, number)
  local low, high = 1, #lists + 1
  while low < high do
    local middle = math.floor((low + high) / 2)
    if lists[middle].number < number then low = middle + 1 else high = middle end
  end
  table.insert(lists, low, {name = list, number = number})
end
local function place_again(name)
  local last = redis.call('LINDEX', name, -1)
  if last then place(name, number_of(last)) end
end
local others = {}
for _, key in ipairs(redis.call('HKEYS', blocked)) do
  if is_of_another_order(key) then
    others[#others + 1] = key
    place_again(prefix .. 'waiting:' .. endpoint .. ':' .. key)
  end
end

-- What stands at the lane's head and is older than the newest of these belongs among them: it was handed back, and a
-- worker hands back no more than it reads ahead.
local HANDED_BACK = 10000
local head, newest = {}, #lists > 0 and lists[#lists].number or 0
while #head < HANDED_BACK do
  local first = redis.call('LINDEX', lane, 0)
  if not first or number_of(first) >= newest then break end
  head[#head + 1] = redis.call('LPOP', lane)
end
table.sort(head, function(a, b) return number_of(a) < number_of(b) end)
local released, at = 0, #head
while #lists > 0 and released < most do
  if at > 0 and number_of(head[at]) > lists[#lists].number then
    redis.call('LPUSH', lane, head[at])
    at = at - 1
  else
    local name = table.remove(lists).name
    redis.call('LMOVE', name, lane, 'RIGHT', 'LEFT')
    released = released + 1
    place_again(name)
  end
end
for i = at, 1, -1 do redis.call('LPUSH', lane, head[i]) end

for _, key in ipairs(others) do
  if redis.call('EXISTS', prefix .. 'waiting:' .. endpoint .. ':' .. key) == 0 then redis.call('HDEL', blocked, key) end
end
if redis.call('EXISTS', blocked) == 0 then redis.call('SREM', blockers, endpoint) end
if redis.call('EXISTS', lane) == 1 and redis.call('HSETNX', lanes, endpoint, 'r') == 1 then
  redis.call('RPUSH', ready, endpoint)
end
if released > 0 then redis.call('PUBLISH', channel, uid) end
return released
