#!lua flags=allow-oom
-- Hand in what came of claimed deliveries, and get more to do: a list of tagged operations, done in their order.
-- KEYS: 1 lanes, 2 ready, 3 sessions, 4 turns, 5 due, 6 dead, 7 parked, 8 references, 9 owed, 10 attempt buckets,
--   11 attempt sizes, 12 blockers, 13 fence, 14 endpoints with replays, 15 outbox, 16 holds
-- ARGV: 1 the source's prefix, 2 session, 3 its number for this call, 4 that of the call before, 5 now in ms, 6 ms that
--   the session lives on, 7 events in a bucket, 8 channel, 9 the source's uid, then operations:
--   log {bucket, bytes, number of arguments, field, record, …}: keep records of attempts
--   lane {endpoint}: what follows is about this lane, up to stay, park or go
--   ended {number of references, reference, …}: their receiver has confirmed them · unwanted: the same for those that
--     the endpoint does not want
--   due {reference, next one, ms, key or ''}: it waits for its next try, and later ones with its key wait for it
--   hold {reference, next one, ms, '1': no later one may be sooner}: it waits until the event is old enough
--   dead {reference, reason}: it is given up · back {reference, next one}: it goes to the lane's head, in this order
--   behind {reference, key}: it waits for a blocked key, or goes back if nothing blocks it any more
--   free {key}: nothing waits for it any more
--   tried {number of arguments, ms, `number:ms`, …}: the lane's attempts, for the endpoint's list
--   tally {number of arguments, mark, attempts, …}: the same attempts, counted (relay.domain.tallies)
--   report {number of arguments, type, ms, JSON, …}: operational events, kept until they are posts
--   stay {how many to take more} · park {ms until when} · go {}: let the lane go; if it is ready, the channel is told
--   claim {lanes at most, references of each}: hold further lanes
-- RETURNS: {'done', lanes still ready, then for each lane and each claimed one {endpoint, state, {references}, {key,
--   number of the event that it waits for, …}}}. The state is 'held', 'claimed', 'idle', 'ready', 'parked', or 'lost': the
--   session does not hold the lane, and only attempts were taken. Or without having done anything, {verdict, number of
--   the session's last call}: 'again' (this call was done before, and its answer lost), or 'astray' (the one before it
--   was not: the store went back in time, or took the session for dead). Then the session has to ask what it holds. Or
--   'gone': the source was deleted.
-- ATOMIC BECAUSE a delivery must be in exactly one place: lane, flight, due, dead, waiting or ended.
local lanes, ready, sessions, turns, due, dead, parked, references, owed = unpack(KEYS, 1, 9)
local attempt_buckets, attempt_sizes, blockers, fence, replaying, outbox, holds = unpack(KEYS, 10, 16)
local prefix, session, turn, before, now, lives, block_size, channel, uid = unpack(ARGV, 1, 9)
block_size = tonumber(block_size)
-- SHARED: books
local UNPACK = 4000 -- Lua's stack holds 8,000.
local at, answer, ended, freed = 10, {'done', 0}, {}, {}
local is_ready = false -- Whether a lane was let go that another worker can claim.

-- The source was deleted: nobody may leave anything behind, see close_source.lua.
if string.sub(redis.call('GET', fence) or '', 1, 1) == '-' then return {'gone', 0} end
-- The server's own clock: a worker whose clock is wrong must not count as dead.
local time = redis.call('TIME')
local at_ms = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZADD', sessions, at_ms + lives, session)
local last = redis.call('HGET', turns, session) or '0'
if last == turn then return {'again', last} end
if last ~= before then return {'astray', last} end
redis.call('HSET', turns, session, turn)

-- A worker that does not know yet that the clock was set back writes down times that are too late by this.
local CLOCK_STEP_MS = 1000
local ahead = now - at_ms > CLOCK_STEP_MS and now - at_ms or 0
local function pop()
  at = at + 1
  return ARGV[at - 1]
end
local function count() return tonumber(pop()) end
-- Calls `act` with the first and the last index of each piece of a counted list.
local function pieces(act)
  local size = count()
  for first = at, at + size - 1, UNPACK do act(first, math.min(first + UNPACK, at + size) - 1) end
  at = at + size
end
-- SHARED: tallies
local function number_of(reference) return tonumber(string.match(reference, '^%a(%d+)') or '0') end

local endpoint, held, lane, flight, blocked, returned
local function waiting(key) return prefix .. 'waiting:' .. endpoint .. ':' .. key end
local function ends(reference)
  local number = number_of(reference)
  local bucket = math.floor(number / block_size)
  ended[bucket] = (ended[bucket] or 0) + 1
  freed[endpoint] = (freed[endpoint] or 0) + redis.call('HSTRLEN', prefix .. 'events:' .. bucket, number)
end
-- Thousands at a time: one by one takes four times as long.
local function goes_on(list)
  local some = redis.call('LRANGE', list, -UNPACK, -1)
  while #some > 0 do
    for i = 1, math.floor(#some / 2) do some[i], some[#some - i + 1] = some[#some - i + 1], some[i] end
    redis.call('LPUSH', lane, unpack(some))
    redis.call('LTRIM', list, 0, -#some - 1)
    some = redis.call('LRANGE', list, -UNPACK, -1)
  end
end
-- What was announced before it was sent, for it was in flight at a crash, is no more.
local function forget_trial(reference)
  if string.find(reference, '^%a%d+:%d+:%w+:%d+:[1-9]') then
    redis.call('SREM', prefix .. 'tried:' .. session, endpoint .. ' ' .. reference)
  end
end
local function lands(reference)
  if not held or redis.call('SREM', flight, reference) == 0 then return false end
  forget_trial(reference)
  return true
end
local function lists(key, score, member, reference)
  -- One that stands there already, sent again by hand meanwhile, stands for both.
  if redis.call('ZADD', key, score, endpoint .. ' ' .. member) == 0 then ends(reference) end
end
local function finish(state)
  pieces(function(first, last_one)
    if not held then return end
    if first == last_one then
      if lands(ARGV[first]) then
        ends(ARGV[first])
        note(endpoint, number_of(ARGV[first]), state)
      end
      return
    end
    -- Only what is in flight is counted: a lane may have been lost and claimed again meanwhile.
    local there = redis.call('SMISMEMBER', flight, unpack(ARGV, first, last_one))
    redis.call('SREM', flight, unpack(ARGV, first, last_one))
    for i = first, last_one do
      if there[i - first + 1] == 1 then
        ends(ARGV[i])
        note(endpoint, number_of(ARGV[i]), state)
        forget_trial(ARGV[i])
      end
    end
  end)
end
-- Replays wait in a list of their own. Only where the lane is dry are they claimed, and few at a time, so that a new event
-- does not wait behind them. Beside new events one is claimed for each call, so that they arrive in the end.
local DRY_MOST = 8
local some_replays
local function has_replays()
  if some_replays == nil then some_replays = redis.call('EXISTS', replaying) == 1 end
  return some_replays and redis.call('SISMEMBER', replaying, endpoint) == 1
end
local function next_ones(most)
  if not has_replays() then return redis.call('LPOP', lane, most) or {} end
  local taken = redis.call('LPOP', lane, most > 1 and most - 1 or most) or {}
  local room = #taken > 0 and math.min(most - #taken, 1) or math.min(most, DRY_MOST - redis.call('SCARD', flight))
  local list = prefix .. 'replays:' .. endpoint
  for _, reference in ipairs(room > 0 and redis.call('LPOP', list, room) or {}) do taken[#taken + 1] = reference end
  if redis.call('EXISTS', list) == 0 then redis.call('SREM', replaying, endpoint) end
  return taken
end
-- `alone`: nothing of the lane is in flight.
local function take(most, alone)
  local taken = most > 0 and next_ones(most)
  if not taken or #taken == 0 then return {} end
  local there = alone and {} or redis.call('SMISMEMBER', flight, unpack(taken))
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
-- What was put at the lane's head meanwhile, for it had waited in an older order, belongs among what goes back.
local HANDED_BACK = 10000
local function by_number(a, b) return number_of(a) < number_of(b) end
local function give_back()
  local newest, put = 0, #returned
  for i = 1, put do newest = math.max(newest, number_of(returned[i])) end
  while #returned > 0 and #returned < HANDED_BACK do
    local first = redis.call('LINDEX', lane, 0)
    if not first or number_of(first) >= newest then break end
    returned[#returned + 1] = redis.call('LPOP', lane)
  end
  if #returned > put then table.sort(returned, by_number) end
  for i = #returned, 1, -1 do redis.call('LPUSH', lane, returned[i]) end
  returned = {}
end
-- What is still in flight when a lane is let go is what its worker never heard of, or the store has again after it went
-- back in time: it goes back too.
local function settle()
  local left = redis.call('SMEMBERS', flight)
  for _, reference in ipairs(left) do
    forget_trial(reference)
    returned[#returned + 1] = reference
  end
  if #left > 0 then
    table.sort(returned, by_number)
    redis.call('DEL', flight)
  end
  give_back()
end
local function let_go(is_empty)
  if not is_empty and (redis.call('EXISTS', lane) == 1 or has_replays()) then
    redis.call('HSET', lanes, endpoint, 'r')
    redis.call('RPUSH', ready, endpoint)
    is_ready = true
    return 'ready'
  end
  redis.call('HDEL', lanes, endpoint)
  return 'idle'
end
local function about(name)
  endpoint = name
  held = redis.call('HGET', lanes, endpoint) == session
  lane, flight = prefix .. 'lane:' .. endpoint, prefix .. 'flight:' .. endpoint
  blocked, returned = prefix .. 'blocked:' .. endpoint, {}
end
local function says(state, taken, waits)
  answer[#answer + 1] = {endpoint, held and state or 'lost', taken or {}, waits or {}}
end

local operations = {}
function operations.log()
  local bucket, bytes = pop(), pop()
  local records = prefix .. 'attempts:' .. bucket
  pieces(function(first, last_one) redis.call('HSET', records, unpack(ARGV, first, last_one)) end)
  redis.call('ZADD', attempt_buckets, now, bucket)
  redis.call('HINCRBY', attempt_sizes, bucket, bytes)
  redis.call('HINCRBY', attempt_sizes, 'total', bytes)
end
function operations.lane() about(pop()) end
function operations.ended() finish(CONFIRMED) end
function operations.unwanted() finish(UNWANTED) end
function operations.due()
  local reference, again, due_ms, key = pop(), pop(), pop(), pop()
  if not lands(reference) then return end
  lists(due, due_ms - ahead, again, reference)
  if key ~= '' then
    redis.call('HSET', blocked, key, number_of(reference))
    redis.call('SADD', blockers, endpoint)
  end
end
-- Events of one ms are due one after the other: this is the smallest step of such a number.
local STEP_MS = 1 / 4096
function operations.hold()
  local reference, again, due_ms, in_order = pop(), pop(), pop() - ahead, pop()
  if not lands(reference) then return end
  if in_order == '1' then
    due_ms = math.max(due_ms, (tonumber(redis.call('HGET', holds, endpoint) or '0') or 0) + STEP_MS)
    redis.call('HSET', holds, endpoint, string.format('%.17g', due_ms))
  end
  lists(due, string.format('%.17g', due_ms), again, reference)
end
function operations.dead()
  local reference, reason = pop(), pop()
  if not lands(reference) then return end
  lists(dead, now, reference .. ' ' .. reason, reference)
  note(endpoint, number_of(reference), DEAD)
end
function operations.back()
  local reference, again = pop(), pop()
  if lands(reference) then returned[#returned + 1] = again end
end
function operations.behind()
  local reference, key = pop(), pop()
  if not lands(reference) then return end
  if redis.call('HEXISTS', blocked, key) == 1 then
    redis.call('RPUSH', waiting(key), reference)
  else
    returned[#returned + 1] = reference
  end
end
function operations.free()
  local key = pop()
  if not held then return end
  redis.call('HDEL', blocked, key)
  if redis.call('EXISTS', blocked) == 0 then redis.call('SREM', blockers, endpoint) end
  goes_on(waiting(key))
end
function operations.tried()
  local times = prefix .. 'attempt_times:' .. endpoint
  pieces(function(first, last_one) redis.call('ZADD', times, unpack(ARGV, first, last_one)) end)
end
function operations.tally()
  pieces(function(first, last_one) tally_marks(endpoint, first, last_one) end)
end
local REPORTS_KEPT = 10000
function operations.report()
  for _ = 1, count() / 3 do
    local kind, at_ms, data = pop(), pop(), pop()
    -- Of a lane that was lost, the results are not taken: another worker makes the attempt again.
    if held then redis.call('XADD', outbox, 'MAXLEN', '~', REPORTS_KEPT, '*', 'kind', kind, 'at', at_ms, 'data', data) end
  end
end
function operations.stay()
  local more = count()
  if not held then return says('lost') end
  give_back()
  local taken = take(more)
  if #taken == 0 and redis.call('EXISTS', flight) == 0 then return says(let_go(more > 0)) end
  says('held', taken)
end
function operations.park()
  local until_ms = pop()
  if not held then return says('lost') end
  settle()
  redis.call('HSET', lanes, endpoint, 'p')
  redis.call('ZADD', parked, until_ms - ahead, endpoint)
  says('parked')
end
function operations.go()
  if not held then return says('lost') end
  settle()
  says(let_go())
end
function operations.claim()
  local most, each = pop(), count()
  local some_blocked = redis.call('EXISTS', blockers) == 1
  for _, name in ipairs(redis.call('LPOP', ready, most) or {}) do
    if redis.call('HGET', lanes, name) == 'r' then
      about(name)
      held = true
      local taken = take(each, true)
      if #taken > 0 then
        redis.call('HSET', lanes, endpoint, session)
        says('claimed', taken, some_blocked and redis.call('HGETALL', blocked))
      else
        redis.call('HDEL', lanes, endpoint)
      end
    end
  end
end

while at <= #ARGV do operations[pop()]() end
write_books()
write_tallies()
-- A count that is damaged must not stop a lane: of one that keeps events nothing is let go any more.
local MANY = '1099511627776'
for bucket, number in pairs(ended) do
  local left = redis.pcall('HINCRBY', references, bucket, 0 - number)
  if type(left) == 'table' then redis.call('HSET', references, bucket, MANY) end
end
for name, bytes in pairs(freed) do
  local left = redis.pcall('HINCRBY', owed, name, 0 - bytes)
  if type(left) == 'table' or left <= 0 then redis.call('HDEL', owed, name) end
end
answer[2] = redis.call('LLEN', ready)
if is_ready then redis.call('PUBLISH', channel, uid) end
return answer
