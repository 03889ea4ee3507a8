#!lua flags=allow-oom
-- Let everything that waits behind blocked keys of an endpoint go on, if they were blocked in another order than its own.
-- KEYS: 1 lanes, 2 ready, 3 blockers
-- ARGV: 1 the source's prefix, 2 endpoint, 3 version of its order now, 4 how many at most, 5 wake channel, 6 source uid
-- RETURNS: how many go on; as many as asked for: call it again
-- ATOMIC BECAUSE a delivery must be in exactly one place, and a lane in exactly one state.
local lanes, ready, blockers = unpack(KEYS)
local prefix, endpoint, version, most, channel, uid = unpack(ARGV)
local blocked, lane = prefix .. 'blocked:' .. endpoint, prefix .. 'lane:' .. endpoint
local released, left = 0, tonumber(most)
-- Whoever asks may not have heard of the newest order yet: keys of a newer one stay while somebody holds the lane.
local state = redis.call('HGET', lanes, endpoint)
local is_held = state and state ~= 'r' and state ~= 'p'
local function is_of_another_order(key)
  local of = string.match(key, '^(%d+)%.')
  if of and is_held then return tonumber(of) < tonumber(version) end
  return of ~= version
end
for _, key in ipairs(redis.call('HKEYS', blocked)) do
  if is_of_another_order(key) then
    local waiting = prefix .. 'waiting:' .. endpoint .. ':' .. key
    while left > 0 and redis.call('LMOVE', waiting, lane, 'RIGHT', 'LEFT') do
      released, left = released + 1, left - 1
    end
    if left == 0 then break end
    redis.call('HDEL', blocked, key)
  end
end
if redis.call('EXISTS', blocked) == 0 then redis.call('SREM', blockers, endpoint) end
if redis.call('EXISTS', lane) == 1 and redis.call('HSETNX', lanes, endpoint, 'r') == 1 then
  redis.call('RPUSH', ready, endpoint)
end
if released > 0 then redis.call('PUBLISH', channel, uid) end
return released
