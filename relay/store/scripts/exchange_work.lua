#!lua flags=allow-oom
-- Hand in what came of claimed deliveries, and get more to do: for lanes that the session holds, and for ready ones.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 turns, 5 due, 6 dead, 7 parked, 8 references, 9 attempt buckets,
--   10 attempt sizes, 11 health
-- ARGV: 1 the source's prefix, 2 session, 3 its number for this call, 4 now in ms, 5 ms that the session lives on,
--   6 lanes to claim at most, 7 references to claim for each, 8 events in a bucket, then two counted lists:
--   attempts: {bucket, bytes, number of arguments, field, record, …};
--   lanes: {endpoint, how many to take more (-1: let the lane go), ms until when to park it or '', what is known of
--     its health ('': as before, '-': it is well), and counted lists of references: ended; {reference, next one, ms
--     when due}; {reference, reason} of dead ones; {reference, next one} to put back at the head, oldest first; and of
--     an endpoint that is ordered by a key: {key, number of the event that it waits for}; {reference, key} that wait
--     behind one; keys that wait no more; and last its attempts `number:ms`}
-- RETURNS: {lanes still ready, {endpoint, state, {references}, health or ''} for each lane handed in, then for each
--   claimed}. The state is 'held', 'claimed', 'idle', 'ready', 'parked', or 'lost': the session does not hold the lane
--   any more, and nothing that was handed in for it was taken but its attempts. A lane whose breaker is open
--   (`since:opens`) gives one reference. A call with the number of the last one hands nothing in again, so that one
--   whose answer was lost can be repeated.
-- ATOMIC BECAUSE a delivery must be in exactly one place: lane, flight, due, dead, waiting or ended.
local lanes, ready, sessions, turns, due, dead, parked, references, attempt_buckets, attempt_sizes, health = unpack(KEYS)
local prefix, session, turn, now, lives, most_lanes, per_lane, bucket_size = unpack(ARGV, 1, 8)
local UNPACK = 4000 -- Lua's stack holds 8,000.
local at, answer, ended = 9, {0}, {}

-- The server's own clock: a worker whose clock is wrong must not count as dead.
local time = redis.call('TIME')
redis.call('ZADD', sessions, time[1] * 1000 + math.floor(time[2] / 1000) + lives, session)
local first_time = redis.call('HGET', turns, session) ~= turn
redis.call('HSET', turns, session, turn)

local function count()
  at = at + 1
  return tonumber(ARGV[at - 1])
end
-- Calls `act` with the index of each entry of a counted list.
local function each(width, act)
  local size = count()
  for _ = 1, size do
    if act then act(at) end
    at = at + width
  end
end
local function bulk(command, key, first, size)
  for i = first, first + size - 1, UNPACK do
    redis.call(command, key, unpack(ARGV, i, math.min(i + UNPACK, first + size) - 1))
  end
end
local function ends(reference)
  local bucket = math.floor(tonumber(string.match(reference, '^%a(%d+)')) / bucket_size)
  ended[bucket] = (ended[bucket] or 0) + 1
end
local function take(endpoint, most)
  local taken = most > 0 and redis.call('LPOP', prefix .. 'lane:' .. endpoint, most)
  if not taken or #taken == 0 then return {} end
  local flight = prefix .. 'flight:' .. endpoint
  local there = redis.call('SMISMEMBER', flight, unpack(taken))
  if redis.call('SADD', flight, unpack(taken)) == #taken then return taken end
  -- Sent again by hand while it was on its way: two of one are one.
  local once, known = {}, {}
  for i, reference in ipairs(taken) do
    if there[i] == 1 or known[reference] then
      ends(reference)
    else
      once[#once + 1], known[reference] = reference, true
    end
  end
  return once
end
local function number_of(reference) return tonumber(string.match(reference, '^%a(%d+)')) end
-- What is still in flight when a lane is let go is what its worker never heard of: it goes back.
local function settle(endpoint)
  local flight = prefix .. 'flight:' .. endpoint
  local left = redis.call('SMEMBERS', flight)
  if #left == 0 then return end
  table.sort(left, function(a, b) return number_of(a) > number_of(b) end)
  for _, reference in ipairs(left) do redis.call('LPUSH', prefix .. 'lane:' .. endpoint, reference) end
  redis.call('DEL', flight)
end
local function let_go(endpoint)
  settle(endpoint)
  if redis.call('EXISTS', prefix .. 'lane:' .. endpoint) == 1 then
    redis.call('HSET', lanes, endpoint, 'r')
    redis.call('RPUSH', ready, endpoint)
    return 'ready'
  end
  redis.call('HDEL', lanes, endpoint)
  return 'idle'
end

-- The lists of results of one lane; only read past when they are not to be taken.
local function hand_in(endpoint, taken_in)
  local lane, flight = prefix .. 'lane:' .. endpoint, prefix .. 'flight:' .. endpoint
  local blocked = prefix .. 'blocked:' .. endpoint
  local function lands(i) return redis.call('SREM', flight, ARGV[i]) == 1 end
  local function waiting(i) return prefix .. 'waiting:' .. endpoint .. ':' .. ARGV[i] end

  local function lists(key, score, member, reference)
    -- One that stands there already, sent again by hand meanwhile, stands for both.
    if redis.call('ZADD', key, score, endpoint .. ' ' .. member) == 0 then ends(reference) end
  end

  local size = count()
  for first = at, taken_in and at + size - 1 or 0, UNPACK do
    local last = math.min(first + UNPACK, at + size) - 1
    -- Only what is in flight is counted: a lane may have been lost and claimed again meanwhile.
    local there = redis.call('SMISMEMBER', flight, unpack(ARGV, first, last))
    redis.call('SREM', flight, unpack(ARGV, first, last))
    for i = first, last do
      if there[i - first + 1] == 1 then ends(ARGV[i]) end
    end
  end
  at = at + size
  each(3, taken_in and function(i)
    if lands(i) then lists(due, ARGV[i + 2], ARGV[i + 1], ARGV[i]) end
  end)
  each(2, taken_in and function(i)
    if lands(i) then lists(dead, now, ARGV[i] .. ' ' .. ARGV[i + 1], ARGV[i]) end
  end)
  local size_back = count()
  if taken_in then
    for i = at + 2 * size_back - 2, at, -2 do
      if lands(i) then redis.call('LPUSH', lane, ARGV[i + 1]) end
    end
  end
  at = at + 2 * size_back
  each(2, taken_in and function(i) redis.call('HSET', blocked, ARGV[i], ARGV[i + 1]) end)
  each(2, taken_in and function(i)
    if lands(i) then redis.call('RPUSH', waiting(i + 1), ARGV[i]) end
  end)
  each(1, taken_in and function(i)
    redis.call('HDEL', blocked, ARGV[i])
    while redis.call('LMOVE', waiting(i), lane, 'RIGHT', 'LEFT') do end
  end)
  size = count()
  if first_time and size > 0 then bulk('RPUSH', prefix .. 'attempted:' .. endpoint, at, size) end
  at = at + size
end

for _ = 1, count() do
  local bucket, bytes = ARGV[at], ARGV[at + 1]
  at = at + 2
  local size = count()
  if first_time then
    bulk('HSET', prefix .. 'attempts:' .. bucket, at, size)
    redis.call('ZADD', attempt_buckets, now, bucket)
    redis.call('HINCRBY', attempt_sizes, bucket, bytes)
    redis.call('HINCRBY', attempt_sizes, 'total', bytes)
  end
  at = at + size
end
for _ = 1, count() do
  local endpoint, more, until_ms, condition = ARGV[at], tonumber(ARGV[at + 1]), ARGV[at + 2], ARGV[at + 3]
  at = at + 4
  local held = redis.call('HGET', lanes, endpoint) == session
  hand_in(endpoint, held and first_time)
  if held and condition == '-' then
    redis.call('HDEL', health, endpoint)
  elseif held and condition ~= '' then
    redis.call('HSET', health, endpoint, condition)
  end
  local state, taken = 'held', {}
  if not held then
    state = 'lost'
  elseif until_ms ~= '' then
    settle(endpoint)
    redis.call('HSET', lanes, endpoint, 'p')
    redis.call('ZADD', parked, until_ms, endpoint)
    state = 'parked'
  elseif more < 0 then
    state = let_go(endpoint)
  else
    taken = take(endpoint, more)
    if #taken == 0 and redis.call('EXISTS', prefix .. 'flight:' .. endpoint) == 0 then state = let_go(endpoint) end
  end
  answer[#answer + 1] = {endpoint, state, taken, ''}
end

local claimed = tonumber(most_lanes) > 0 and redis.call('LPOP', ready, most_lanes) or {}
for _, endpoint in ipairs(claimed) do
  if redis.call('HGET', lanes, endpoint) == 'r' then
    local condition = redis.call('HGET', health, endpoint) or ''
    local taken = take(endpoint, string.find(condition, ':', 1, true) and 1 or tonumber(per_lane))
    if #taken > 0 then
      redis.call('HSET', lanes, endpoint, session)
      answer[#answer + 1] = {endpoint, 'claimed', taken, condition}
    else
      redis.call('HDEL', lanes, endpoint)
    end
  end
end
for bucket, number in pairs(ended) do redis.call('HINCRBY', references, bucket, -number) end
answer[1] = redis.call('LLEN', ready)
return answer
