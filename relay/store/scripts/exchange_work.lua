#!lua flags=allow-oom
-- Hand in what came of claimed deliveries, and get more to do: for lanes that the session holds, and for ready ones.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 due, 5 dead, 6 parked, 7 references, 8 attempt buckets, 9 attempt sizes,
--   10 health
-- ARGV: 1 the source's prefix, 2 session, 3 now in ms, 4 ms that the session lives on, 5 lanes to claim at most,
--   6 references to claim for each, 7 events in a bucket, then two counted lists:
--   attempts: {bucket, bytes, number of arguments, field, record, …};
--   lanes: {endpoint, how many to take more (-1: let the lane go), ms until when to park it or '',
--     what is known of its health ('': as before, '-': it is well), 4 counted lists: references that ended, {reference, next reference, ms when due}, {reference, reason} of dead
--     ones, {reference, next reference} to put back at the head, oldest first; and a counted list of its attempts `number:ms`}
-- RETURNS: {lanes still ready, {endpoint, state, {references}, health or ''} for each lane handed in, then for each
--   claimed, which gives one reference only when its breaker is open, `since:opens`}; state is 'held', 'idle', 'ready', 'parked', or 'lost': the session does not hold the lane any more, and nothing that was
--   handed in for it was taken.
--   Handing in the same twice changes nothing the second time, so a call whose answer was lost can be made again.
-- ATOMIC BECAUSE a delivery must be in exactly one place: lane, flight, due, dead or ended.
local lanes, ready, sessions, due, dead, parked, references, attempt_buckets, attempt_sizes, health = unpack(KEYS)
local prefix, session, now, lives, most_lanes, per_lane, bucket_size = unpack(ARGV, 1, 7)
local UNPACK = 4000
local at, answer, ended = 8, {0}, {}

local function count()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
local function skip(size)
  at = at + size
  return at - size
end
local function bulk(command, key, first, size)
  for i = first, first + size - 1, UNPACK do
    redis.call(command, key, unpack(ARGV, i, math.min(i + UNPACK, first + size) - 1))
  end
end
local function ends(reference)
  local bucket = math.floor(tonumber(string.match(reference, '^%d+')) / bucket_size)
  ended[bucket] = (ended[bucket] or 0) + 1
end
local function take(endpoint, most)
  local taken = most > 0 and redis.call('LPOP', prefix .. 'lane:' .. endpoint, most) or {}
  if taken and #taken > 0 then
    redis.call('SADD', prefix .. 'flight:' .. endpoint, unpack(taken))
    return taken
  end
  return {}
end
local function let_go(endpoint)
  if redis.call('EXISTS', prefix .. 'lane:' .. endpoint) == 1 then
    redis.call('HSET', lanes, endpoint, 'r')
    redis.call('RPUSH', ready, endpoint)
    return 'ready'
  end
  redis.call('HDEL', lanes, endpoint)
  return 'idle'
end

-- The server's own clock: a worker whose clock is wrong must not count as dead.
local time = redis.call('TIME')
redis.call('ZADD', sessions, time[1] * 1000 + math.floor(time[2] / 1000) + lives, session)
for _ = 1, count() do
  local bucket, bytes = ARGV[at], ARGV[at + 1]
  at = at + 2
  local size = count()
  bulk('HSET', prefix .. 'attempts:' .. bucket, skip(size), size)
  redis.call('ZADD', attempt_buckets, now, bucket)
  redis.call('HINCRBY', attempt_sizes, bucket, bytes)
  redis.call('HINCRBY', attempt_sizes, 'total', bytes)
end
for _ = 1, count() do
  local endpoint, more, until_ms, condition = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  at = at + 4
  local lane, flight = prefix .. 'lane:' .. endpoint, prefix .. 'flight:' .. endpoint
  local held = redis.call('HGET', lanes, endpoint) == session
  local size = count()
  local first = skip(size)
  if held and size > 0 then
    for i = first, first + size - 1, UNPACK do
      local some = {unpack(ARGV, i, math.min(i + UNPACK, first + size) - 1)}
      local there = redis.call('SMISMEMBER', flight, unpack(some))
      for j, reference in ipairs(some) do
        if there[j] == 1 then ends(reference) end
      end
      redis.call('SREM', flight, unpack(some))
    end
  end
  for _ = 1, count() do
    local i = skip(3)
    if held and redis.call('SREM', flight, ARGV[i]) == 1 then
      redis.call('ZADD', due, ARGV[i + 2], endpoint .. ' ' .. ARGV[i + 1])
    end
  end
  for _ = 1, count() do
    local i = skip(2)
    if held and redis.call('SREM', flight, ARGV[i]) == 1 then
      redis.call('ZADD', dead, now, endpoint .. ' ' .. ARGV[i] .. ' ' .. ARGV[i + 1])
    end
  end
  size = count()
  first = skip(2 * size)
  if held then
    for i = first + 2 * size - 2, first, -2 do
      if redis.call('SREM', flight, ARGV[i]) == 1 then redis.call('LPUSH', lane, ARGV[i + 1]) end
    end
  end
  size = count()
  first = skip(size)
  if size > 0 then bulk('RPUSH', prefix .. 'attempted:' .. endpoint, first, size) end

  local state, taken = 'held', {}
  if held and condition == '-' then
    redis.call('HDEL', health, endpoint)
  elseif held and condition ~= '' then
    redis.call('HSET', health, endpoint, condition)
  end
  if not held then
    state = 'lost'
  elseif until_ms ~= '' then
    redis.call('HSET', lanes, endpoint, 'p')
    redis.call('ZADD', parked, until_ms, endpoint)
    state = 'parked'
  elseif more < 0 then
    state = let_go(endpoint)
  else
    taken = take(endpoint, more)
    if #taken == 0 and redis.call('EXISTS', flight) == 0 then state = let_go(endpoint) end
  end
  answer[#answer + 1] = {endpoint, state, taken, ''}
end
for bucket, number in pairs(ended) do redis.call('HINCRBY', references, bucket, -number) end

local claimed = tonumber(most_lanes) > 0 and redis.call('LPOP', ready, most_lanes) or {}
for _, endpoint in ipairs(claimed or {}) do
  if redis.call('HGET', lanes, endpoint) == 'r' then
    local condition = redis.call('HGET', health, endpoint) or ''
    local taken = take(endpoint, string.find(condition, ':', 1, true) and 1 or tonumber(per_lane))
    if #taken > 0 then
      redis.call('HSET', lanes, endpoint, session)
      answer[#answer + 1] = {endpoint, 'held', taken, condition}
    else
      redis.call('HDEL', lanes, endpoint)
    end
  end
end
answer[1] = redis.call('LLEN', ready)
return answer
