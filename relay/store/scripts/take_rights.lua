#!lua flags=allow-oom
-- Take the right to make requests to an endpoint: as many as everything that bounds it can give.
-- KEYS: one for each bound; the last key is never there
-- ARGV: 1 how many are wanted, 2 how many callbacks of the one who asks are in flight, 3 who asks, 4 ms that these count,
--   should nobody say more, 5 rights of windows that were not used, 6 ms when these were taken, 7 slices of a window,
--   then for each bound its kind and two numbers:
--   steady {rate a second, 0}: a string with the time up to which its rights are given away, in µs. A tenth of a second's
--     rights, one at least, are there at once (GCRA)
--   window {limit, ms of a slice}: a hash of slices with the rights that were taken in each
--   crowd {limit, 0}: a hash of those who have callbacks in flight, `{how many}:{ms when they count no more}`
--   line {0, 0}: a hash of those who wait, `{µs since when}:{ms when it loses its place}`
-- RETURNS: {rights given, µs until there is another one (0: until callbacks of somebody are over), ms now}
-- ATOMIC BECAUSE several workers take from the same bounds, and a right must be taken from all of them or none.
-- A slice that is partly in the window counts whole, so no stretch as long as the window ever has more than its limit.
-- Who waits longest comes first: each one before the one who asks leaves one right less to it.
local wanted, held, who, lives, unused, taken, slices = unpack(ARGV, 1, 7)
wanted, held, lives, unused, slices = tonumber(wanted), tonumber(held), tonumber(lives), tonumber(unused), tonumber(slices)
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local now_ms = math.floor(now / 1000)
local IN_LINE_MS, LONGEST_IN_LINE_MS, LINE_LIVES_MS = 3000, 5000, 60000
local room, wait, ahead, take = math.huge, 0, 0, {}
local function integer(number) return string.format('%.0f', number) end
-- Calls `see` with the name and the two numbers of each entry that counts; forgets those whose time is over. None counts
-- for longer than `longest` ms: after the clock was set back, an entry would count for as much longer.
local function entries(key, longest, see)
  local found, over = redis.call('HGETALL', key), {}
  for i = 1, #found, 2 do
    local first, until_ms = string.match(found[i + 1], '^(%d+):(%d+)$')
    if first and tonumber(until_ms) > now_ms then
      if tonumber(until_ms) > now_ms + longest then
        redis.call('HSET', key, found[i], first .. ':' .. integer(now_ms + longest))
      end
      see(found[i], tonumber(first))
    else
      over[#over + 1] = found[i]
    end
  end
  for _, name in ipairs(over) do redis.call('HDEL', key, name) end
end

local look = {}
function look.steady(key, rate)
  local step = 1000000 / rate
  local burst = math.max(1, rate / 10) * step
  local taken_until = math.max(tonumber(redis.call('GET', key) or '0') or 0, now)
  if taken_until > now + burst then -- The clock was set back, or the rate was raised: no more than a burst is given away.
    taken_until = now + burst
    redis.call('SET', key, integer(taken_until), 'PX', 60000)
  end
  local left = math.floor((now + burst - taken_until) / step + 0.000001)
  room = math.min(room, left)
  if left <= 0 then wait = math.max(wait, taken_until + step - burst - now) end
  return function(given)
    if given > 0 then redis.call('SET', key, integer(taken_until + given * step), 'PX', 60000) end
  end
end
function look.window(key, limit, slice_ms)
  local current, used, counts, numbers = math.floor(now_ms / slice_ms), 0, {}, {}
  local found = redis.call('HGETALL', key)
  for i = 1, #found, 2 do
    local slice, count = tonumber(found[i]) or 0, tonumber(found[i + 1]) or 0
    if slice < current - slices then
      redis.call('HDEL', key, found[i])
    else
      if slice > current then -- The clock was set back.
        redis.call('HDEL', key, found[i])
        redis.call('HINCRBY', key, integer(current), integer(count))
        slice = current
      end
      if counts[slice] == nil then numbers[#numbers + 1] = slice end
      counts[slice], used = (counts[slice] or 0) + count, used + count
    end
  end
  local slice = math.floor(taken / slice_ms)
  local back = math.min(unused, counts[slice] or 0)
  if back > 0 then
    redis.call('HINCRBY', key, integer(slice), integer(-back))
    counts[slice], used = counts[slice] - back, used - back
  end
  room = math.min(room, limit - used)
  if used >= limit then
    table.sort(numbers)
    local left = used
    for _, number in ipairs(numbers) do
      left = left - counts[number]
      if left < limit then
        wait = math.max(wait, ((number + slices + 1) * slice_ms - now_ms) * 1000)
        break
      end
    end
  end
  return function(given)
    if given > 0 then
      redis.call('HINCRBY', key, integer(current), integer(given))
      redis.call('PEXPIRE', key, integer((slices + 2) * slice_ms))
    end
  end
end
function look.crowd(key, limit)
  local others = 0
  entries(key, math.max(lives, 1), function(name, count) if name ~= who then others = others + count end end)
  room = math.min(room, limit - others - held)
  return function(given)
    if held + given > 0 then
      redis.call('HSET', key, who, integer(held + given) .. ':' .. integer(now_ms + lives))
      redis.call('PEXPIRE', key, integer(lives + LINE_LIVES_MS))
    else
      redis.call('HDEL', key, who)
    end
  end
end
function look.line(key)
  local since, others = nil, {} -- Who is not in the line yet stands behind all others.
  entries(key, LONGEST_IN_LINE_MS + IN_LINE_MS, function(name, first)
    if name == who then since = first else others[#others + 1] = {name, first} end
  end)
  for _, other in ipairs(others) do
    if not since or other[2] < since or (other[2] == since and other[1] < who) then ahead = ahead + 1 end
  end
  return function(given)
    local wait_ms = math.ceil(wait / 1000)
    if given == 0 and wanted > 0 and wait_ms < LONGEST_IN_LINE_MS then
      redis.call('HSET', key, who, integer(since or now) .. ':' .. integer(now_ms + wait_ms + IN_LINE_MS))
      redis.call('PEXPIRE', key, LINE_LIVES_MS)
    else
      redis.call('HDEL', key, who)
    end
  end
end

for i = 1, #KEYS - 1 do
  local at = 5 + 3 * i
  take[i] = look[ARGV[at]](KEYS[i], tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2]))
end
local given = math.max(0, math.min(wanted, room - ahead))
for i = 1, #take do take[i](given) end
return {given, given > 0 and 0 or math.ceil(wait), now_ms}
