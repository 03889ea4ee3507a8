#!lua flags=allow-oom
-- Make ready what waited for a time that has come: due retries, parked lanes, and the lanes of a session that died.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 turns, 5 swept, 6 due, 7 dead, 8 parked, 9 blockers, 10 outbox, 11 holds
-- ARGV: 1 the source's prefix, 2 now in ms, 3 how many retries and lanes at most, 4 crashes until a delivery is poison,
--   5 ms between two sweeps at most while the server works, 6 ms that sessions live on after a longer pause,
--   7 events in a block, 8 the type of the operational event of a delivery that is poison, or '' if nobody wants it
-- RETURNS: {ready lanes, ms of the next thing to come (the end of a session too) or '', retries made ready, lanes taken
--   from the dead, deliveries found to be poison, whether there is more to do now, how many endpoints have blocked keys}
-- ATOMIC BECAUSE a delivery must be in exactly one place, and a lane in exactly one state.
-- A reference that was in flight when its session died comes back with its count of crashes one higher. From the first
-- crash on a delivery is announced before it is sent, and only what was announced counts: what a worker had read ahead
-- is not to blame for its death.
local lanes, ready, sessions, turns, swept, due, dead, parked, blockers, outbox, holds = unpack(KEYS, 1, 11)
local prefix, now, most, poison, pause, grace = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5]), ARGV[6]
local block_size, report = tonumber(ARGV[7]), ARGV[8]
local REPORTS_KEPT = 10000
-- SHARED: books
local retries, reclaimed, poisoned, more = 0, 0, 0, 0

-- Sessions live by the server's clock. Where it was set back, so is everything that waits for a time, and a worker that
-- does not know of it yet makes nothing ready too soon.
local time = redis.call('TIME')
local at = time[1] * 1000 + math.floor(time[2] / 1000)
local before, had_grace = string.match(redis.call('GET', swept) or '', '^(%d+)(%+?)$')
local CLOCK_STEP_MS, SET_BACK_AT_ONCE = 1000, 100000
local back = before and before - at or 0
if back > CLOCK_STEP_MS then
  -- What was written down since, such as the life of a session that was renewed, is by the clock as it is now.
  for times, from in pairs({[due] = before, [parked] = before, [sessions] = math.max(before, at + 2 * grace)}) do
    local first = redis.call('ZRANGEBYSCORE', times, from, '+inf', 'WITHSCORES', 'LIMIT', 0, SET_BACK_AT_ONCE)
    for i = 1, #first, 2 do redis.call('ZADD', times, first[i + 1] - back, first[i]) end
  end
  redis.call('DEL', holds)
end
now = math.min(tonumber(now), at)

local function wake(endpoint)
  redis.call('HSET', lanes, endpoint, 'r')
  redis.call('RPUSH', ready, endpoint)
end

local members = redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, most)
if #members == most then more = 1 end
-- A retry goes to the head of its lane, and the oldest ends up there. What was held goes to the end, as it came.
local function comes_due(member, was_held)
  local endpoint, reference = string.match(member, '^(%S+) (%S+)$')
  if endpoint and (string.match(reference, '^%a%d+:%d+:%w+:1$') ~= nil) ~= was_held then return end
  redis.call('ZREM', due, member)
  if endpoint then
    redis.call(was_held and 'RPUSH' or 'LPUSH', prefix .. 'lane:' .. endpoint, reference)
    if redis.call('HEXISTS', lanes, endpoint) == 0 then wake(endpoint) end
    retries = retries + 1
  end
end
for i = #members, 1, -1 do comes_due(members[i], false) end
for i = 1, #members do comes_due(members[i], true) end

local over = redis.call('ZRANGEBYSCORE', parked, '-inf', now, 'LIMIT', 0, most)
if #over == most then more = 1 end
for _, endpoint in ipairs(over) do
  redis.call('ZREM', parked, endpoint)
  if redis.call('HGET', lanes, endpoint) == 'p' then
    if redis.call('EXISTS', prefix .. 'lane:' .. endpoint, prefix .. 'replays:' .. endpoint) > 0 then
      wake(endpoint)
    else
      redis.call('HDEL', lanes, endpoint)
    end
  end
end

local function number_of(reference) return tonumber(string.match(reference, '^%a(%d+)') or '0') end
local function crashed(reference, announced)
  local head, try, crashes, rest = string.match(reference, '^(%a%d+:%d+:%w+):?(%d*):?(%d*)(.*)$')
  if not head then return reference, 0 end
  crashes = tonumber(crashes) or 0
  if crashes == 0 or announced then crashes = crashes + 1 end
  if try == '' then try = '0' end -- A first attempt that was not held, see relay.domain.references.
  return head .. ':' .. try .. ':' .. crashes .. rest, crashes
end
-- What waited behind the key of a delivery that is given up goes on.
local function release(endpoint, number)
  local blocked = prefix .. 'blocked:' .. endpoint
  local entries = redis.call('HGETALL', blocked)
  for i = 1, #entries, 2 do
    if tonumber(entries[i + 1]) == number then
      local waiting = prefix .. 'waiting:' .. endpoint .. ':' .. entries[i]
      redis.call('HDEL', blocked, entries[i])
      while redis.call('LMOVE', waiting, prefix .. 'lane:' .. endpoint, 'RIGHT', 'LEFT') do end
    end
  end
  if redis.call('EXISTS', blocked) == 0 then redis.call('SREM', blockers, endpoint) end
end
local function reclaim(endpoint, tried)
  local flight = prefix .. 'flight:' .. endpoint
  local references = redis.call('SMEMBERS', flight)
  table.sort(references, function(a, b) return number_of(a) > number_of(b) end)
  for _, reference in ipairs(references) do
    local again, crashes = crashed(reference, tried[endpoint .. ' ' .. reference])
    if crashes >= poison then
      redis.call('ZADD', dead, now, endpoint .. ' ' .. again .. ' poison')
      note(endpoint, number_of(reference), DEAD)
      release(endpoint, number_of(reference))
      if report ~= '' then
        local data = cjson.encode({endpointId = endpoint, reference = again})
        redis.call('XADD', outbox, 'MAXLEN', '~', REPORTS_KEPT, '*', 'kind', report, 'at', at, 'data', data)
      end
      poisoned = poisoned + 1
    else
      redis.call('LPUSH', prefix .. 'lane:' .. endpoint, again)
    end
  end
  redis.call('DEL', flight)
  wake(endpoint)
  reclaimed = reclaimed + 1
end

-- Once at a time: where each sweep is late, for a worker is slow, the dead must be found all the same.
local stood_still = before and had_grace == '' and at - before > pause
redis.call('SET', swept, stood_still and at .. '+' or at)
if stood_still then
  -- Nobody could sweep, so nobody could renew a session either: the server stood still, or was away.
  for _, session in ipairs(redis.call('ZRANGEBYSCORE', sessions, '-inf', at + grace)) do
    redis.call('ZADD', sessions, at + grace, session)
  end
else
  -- One at a time: the work of a sweep is bounded.
  local gone = redis.call('ZRANGEBYSCORE', sessions, '-inf', at, 'LIMIT', 0, 1)[1]
  if gone then
    local tried = {}
    for _, member in ipairs(redis.call('SMEMBERS', prefix .. 'tried:' .. gone)) do tried[member] = true end
    local held = redis.call('HGETALL', lanes)
    for i = 1, #held, 2 do
      if held[i + 1] == gone then reclaim(held[i], tried) end
    end
    redis.call('ZREM', sessions, gone)
    redis.call('HDEL', turns, gone)
    redis.call('DEL', prefix .. 'tried:' .. gone)
    more = 1
  end
end

write_books()
local next_ms = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2] or ''
local unpark_ms = redis.call('ZRANGE', parked, 0, 0, 'WITHSCORES')[2] or ''
local ends_ms = redis.call('ZRANGE', sessions, 0, 0, 'WITHSCORES')[2] or ''
for _, other in ipairs({unpark_ms, ends_ms}) do
  if next_ms == '' or (other ~= '' and tonumber(other) < tonumber(next_ms)) then next_ms = other end
end
return {redis.call('LLEN', ready), next_ms, retries, reclaimed, poisoned, more, redis.call('SCARD', blockers)}
